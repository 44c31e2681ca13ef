"""One experiment on several cards: kinds of cards side by side, and the cards that share one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore.comparisons.conditions import (
    CARDS,
    END_OF_TEXT,
    KNOBS,
    MACHINE,
    ORIGIN,
    PICTURE,
    PROMPT,
    SHAPE,
    Conditions,
    conditions_of,
    find_differences,
    list_values,
)
from profcore.comparisons.overlay import medians_by_setting
from profcore.comparisons.runs import Comparison, compare_all
from profcore.experiments.knobs import get_experiment
from profcore.results.base import tell_apart
from profcore.results.sweep import load_result
from profcore.spec.environments import card_of, card_words, cards_of
from profcore.stats import METRIC_LABELS
from profcore.stats.cards import Difference, differences, share_between, spread_of_cards
from profcore.stats.digits import MISSING, written, written_interval
from profcore.storage.pooling import COMPARED, latencies_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from profcore.comparisons.between import Spreads
    from profcore.results.sweep import Result
    from profcore.spec.stages import Knob
    from profcore.storage.read import PlaceConditions, Reader

_ALIKE = (
    *(MACHINE[name] for name in ("model", "weights", "dtype", "engine", "clock")),
    *(SHAPE, PICTURE, PROMPT, END_OF_TEXT),
)
"""What runs must have alike, besides the knobs that are held, to differ by their card."""

_TITLED = ("model", "weights", "dtype", "engine")
_CARDS_OWN = (MACHINE["device_name"], CARDS, ORIGIN)


@dataclass(frozen=True)
class CardGroup:
    """Runs of an experiment that were asked for alike, on several kinds of cards: run ids by the card's name."""

    title: str
    runs: dict[str, str]


@dataclass(frozen=True)
class CardsSideBySide:
    """Several kinds of cards on one experiment.

    Attributes:
        results: The runs with samples, the reference first.
        names: What each is called, by its id: its card.
        medians: As `overlay.medians_by_setting`.
        found: Each against the first; None where there is one alone.
        differences: What else than the card differs, in words.
    """

    results: list[Result]
    names: dict[str, str]
    medians: pd.DataFrame
    found: Comparison | None
    differences: list[str]


def find_card_groups(store: Reader, experiment: str) -> list[CardGroup]:
    """Runs that differ in their card and what comes with it alone: those on most kinds of cards first."""
    knob = get_experiment(experiment).knob
    found: dict[Hashable, dict[str, Conditions]] = {}
    for run_id in store.ranked_apart(experiment):
        run = store.measured_on(run_id)
        if run is None or not (card := run["environment"].get("device_name")):
            continue
        conditions = conditions_of(run, store.knobs(run_id))
        # The first on each card stays, which is the one that a figure rests on first.
        found.setdefault(_key(conditions, knob), {}).setdefault(str(card), conditions)
    groups = sorted(found.values(), key=lambda group: -len(group))
    titles = _titles([next(iter(group.values())) for group in groups], knob)
    return [
        CardGroup(title, {card: each.run_id for card, each in group.items()})
        for title, group in zip(titles, groups, strict=True)
    ]


def _key(conditions: Conditions, knob: Knob) -> Hashable:
    held = tuple(conditions.knobs[each] for each in KNOBS if each is not knob)
    return (*(conditions.facts.get(called) for called in _ALIKE), *held)


def _title(conditions: Conditions) -> str:
    model, weights, dtype, engine = (conditions.facts.get(MACHINE[name], "not said") for name in _TITLED)
    return f"{model} ({weights} weights, {dtype}), {engine}"


def _titles(groups: Sequence[Conditions], knob: Knob) -> list[str]:
    """What each group is called: how it was measured, and what tells it from others that were measured so."""
    described = [
        {
            **{called: each.facts.get(called, "not said") for called in _ALIKE},
            **{name: list_values(each.knobs[held]) or "not said" for held, name in KNOBS.items() if held is not knob},
        }
        for each in groups
    ]
    titles = []
    for conditions, own in zip(groups, described, strict=True):
        title = _title(conditions)
        same = [other for each, other in zip(groups, described, strict=True) if _title(each) == title]
        telling = [f"{called}: {own[called]}" for called in own if len({other[called] for other in same}) > 1]
        titles.append("; ".join([title, *telling]))
    # Long lists are shortened in words, so that two titles may still be alike.
    return list(tell_apart({str(place): title for place, title in enumerate(titles, start=1)}).values())


def load_cards(store: Reader, group: CardGroup, spreads: Spreads | None = None) -> CardsSideBySide | None:
    """The runs of a group together; None where none has samples.

    Args:
        store: Where they are.
        group: Which.
        spreads: As `compare_all`.
    """
    results = [(card, each) for card, run_id in group.runs.items() if (each := load_result(store, run_id))]
    results = [(card, each) for card, each in results if not each.samples.empty]
    if not results:
        return None
    names = {each.run["id"]: card for card, each in results}
    runs = [each for _, each in results]
    conditions = [conditions_of(each.run, each.settings, card) for card, each in results]
    return CardsSideBySide(
        runs,
        names,
        medians_by_setting(runs, names) if len(runs) > 1 else pd.DataFrame(),
        compare_all(runs, names=names, spreads=spreads) if len(runs) > 1 else None,
        find_differences(conditions, leave_out=_CARDS_OWN),
    )


@dataclass(frozen=True)
class SharedCards:
    """The cards that share one run, and each part of it that one of them measured at a time.

    Attributes:
        parts: A row for each part, in words: which card, what it measured and how it differs from the others.
        spread: A row for each latency: how far cards differ, and which share of a sample's variance that is; of a run
            that one card measured in several parts, how far these do.
        cards: How many cards there are.
        pooled: How many of the parts are in the run's figures.
    """

    parts: pd.DataFrame
    spread: pd.DataFrame
    cards: int
    pooled: int


def shared_cards(store: Reader, run_id: str) -> SharedCards | None:
    """The cards of a run that several share, or that one measured in parts; None of any other."""
    environments = store.environments(run_id)
    if not environments:
        return None
    latencies = latencies_of(store.of_places(run_id, COMPARED))
    pooled = {
        each["number"]: latencies[each["number"]]
        for each in environments
        if not _out(each) and each["number"] in latencies
    }
    # Each of those that are pooled against the others, and each that is not against all of them.
    found = differences(pooled)
    for each in environments:
        if _out(each) and each["number"] in latencies:
            found[each["number"]] = differences({**pooled, each["number"]: latencies[each["number"]]})[each["number"]]
    own = {part["shard"]: len(part["own"]) for part in store.parts(run_id)}
    conditions, named = store.conditions_of_places(run_id), _short_names(environments)
    rows = [
        {
            "card": named[card_of(each)],
            "shard": _part(each),
            "settings": own.get(each["shard"]),
            "samples": each["samples"],
            "in the figures": "no" if _out(each) else "yes",
            **{METRIC_LABELS[metric]: _differs(metric, found.get(each["number"], [])) for metric in reversed(COMPARED)},
            **_conditions_row(conditions[each["number"]]),
        }
        for each in environments
    ]
    cards = cards_of([each for each in environments if each["number"] in pooled])
    # Samples of one card stand together; of a run on one card alone, those of each part do.
    groups = [[each["number"] for each in places] for places in cards.values()]
    what = "cards" if len(groups) > 1 else "parts"
    joined = {
        tuple(group): _joined([pooled[each] for each in group])
        for group in (groups if len(groups) > 1 else [[number] for number in pooled])
    }
    spread = [_spread_row(joined, metric, what) for metric in COMPARED]
    table = pd.DataFrame(rows)
    return SharedCards(
        table.drop(columns=[name for name in _CONDITIONS if (table[name] == MISSING).all()]),
        pd.DataFrame([row for row in spread if row]),
        len(cards_of(environments)),
        sum(not _out(each) for each in environments),
    )


_SHOWN_OF_CARD = len("GPU-01234567")
_CONDITIONS = ("SM clock (MHz)", "temperature (°C)", "started (UTC)")


def _conditions_row(known: PlaceConditions) -> dict[str, str]:
    """How the card was in one environment, in words."""
    started = "" if known.started_s is None else f"{pd.Timestamp(known.started_s, unit='s'):%Y-%m-%d %H:%M}"
    readings = [written(value) if value is not None else MISSING for value in (known.sm_clock_mhz, known.temperature_c)]
    return dict(zip(_CONDITIONS, [*readings, started or MISSING], strict=True))


def _part(environment: Mapping[str, Any]) -> str:
    """Which shard was measured in an environment, and from which sample on where it went on there."""
    if not environment.get("shard"):
        return MISSING
    begins = environment.get("from_sample")
    return f"{environment['shard']}, from sample {begins:,}" if begins else str(environment["shard"])


def _joined(parts: Sequence[Mapping[str, Mapping[int, np.ndarray]]]) -> dict[str, dict[int, np.ndarray]]:
    """The samples of several parts that one card measured, one part after another."""
    settings = sorted({setting for part in parts for setting in part[COMPARED[0]]})
    return {
        metric: {
            setting: np.concatenate([part[metric][setting] for part in parts if setting in part[metric]])
            for setting in settings
        }
        for metric in COMPARED
    }


def _short_names(environments: Sequence[Mapping[str, Any]]) -> dict[tuple[Any, Any], str]:
    """What each card is called where there is little room: by the beginning of its UUID where that tells it apart."""
    cards = {card_of(each): each for each in environments}
    short = {key: {**each, "card": _beginning(each.get("card"))} for key, each in cards.items()}
    words = {key: card_words(each) for key, each in short.items()}
    alike = len(set(words.values())) < len(words)
    return {key: card_words(each) for key, each in cards.items()} if alike else words


def _beginning(card: str | None) -> str | None:
    return f"{card[:_SHOWN_OF_CARD]}…" if card and len(card) > _SHOWN_OF_CARD + 1 else card


def _out(environment: Mapping[str, Any]) -> bool:
    return bool(environment.get("refused") or environment.get("set_aside"))


def _differs(metric: str, found: list[Difference]) -> str:
    """How a part differs in a latency, in per cent with its interval."""
    one = next((each for each in found if each.metric == metric), None)
    if one is None:
        return MISSING
    share, low, high = (f"{100 * each:+.2f}".replace("-", "−") for each in (one.share, one.low, one.high))
    return f"{share} % ({low} to {high} %)"


def _spread_row(groups: dict[Any, dict[str, Any]], metric: str, what: str) -> dict[str, str] | None:
    found = spread_of_cards(groups, metric)
    if found is None:
        return None
    return {
        "latency": METRIC_LABELS[metric],
        what: str(found.processes),
        "between (%)": written(100 * found.between),
        "95 % interval": written_interval(100 * found.low, 100 * found.high),
        "one sample within (%)": written(100 * found.within),
        "share between (%)": written(100 * share_between(found)),
    }
