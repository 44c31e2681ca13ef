"""What a run was measured under, and what runs differ in, so that nothing is mixed in silence; pure.

Environment and sweep together: two runs on one machine that hold their knobs elsewhere are as little alike as two
machines. What a run does not say is never taken for the same.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from profcore.models.names import NAMED
from profcore.results.base import tell_apart
from profcore.spec.environments import cards_of
from profcore.spec.stages import Knob
from profcore.spec.text import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from profcore.results.base import MeasuredRun

MACHINE = {
    "device_name": "GPU",
    "model": "model",
    "weights": "weights",
    "dtype": "dtype",
    "engine": "engine",
    "experts": "experts",
    "attention": "attention",
    "clock": "clock",
    "torch": "torch",
    "transformers": "transformers",
    "driver": "driver",
    "cuda": "CUDA",
    "python": "Python",
    "profcore": "profcore",
}
"""Fields of an environment that a difference in latency may come from, and what they are called."""

_HOST = {"cpu": "processor"}
"""As `MACHINE`, but of later versions' runs alone: one that does not say it is not asked for it."""

SHAPE = "shape"
"""Which shape a model has that is no name's: a file of one name may hold another by now."""

PICTURE, PROMPT, WARM_UP, END_OF_TEXT, ORIGIN = "picture", "prompt", "warm-up", "end of text", "origin"
ASKED = (PICTURE, PROMPT, WARM_UP, END_OF_TEXT)
"""What a sweep holds besides its knobs."""

CARDS = "cards"
"""How many cards of how many machines a run was measured on, of runs that say where they were measured."""

KNOBS = {
    Knob.VISION_TOKENS: "image grid",
    Knob.TOP_K: "top-k",
    Knob.ACTIVE_BLOCKS: "blocks",
    Knob.OUTPUT_TOKENS: "output tokens",
}
"""What the values of a knob are called where they are held."""

_ORIGINS = {"measured": "measured here", "shipped": "sample result", "imported": "imported file"}
_MOST_LISTED = 6
_LONGEST_PROMPT = 60


@dataclass(frozen=True, order=True)
class Value:
    """Where a knob stands: numbers, and of blocks the mask where it is known."""

    numbers: tuple[int, ...]
    mask: str = ""

    def agrees(self, other: Value) -> bool | None:
        """Whether two values are the same; None where a mask that is not known decides."""
        if self.numbers != other.numbers:
            return False
        if self.mask and other.mask:
            return self.mask == other.mask
        return None if self.mask or other.mask else True

    def __str__(self) -> str:
        if not self.mask:
            return "×".join(str(number) for number in self.numbers)
        if "0" not in self.mask:
            return f"all {len(self.mask)}"
        if "01" in self.mask:
            return f"{self.numbers[0]} of {len(self.mask)} by mask {self.mask}"
        return f"the first {self.numbers[0]} of {len(self.mask)}"


@dataclass(frozen=True)
class Conditions:
    """What a run was measured under.

    Attributes:
        run_id: The run, by which everything is keyed.
        name: How it is shown; two runs may have one name.
        facts: What is known of machine and sweep, as `MACHINE` and `ASKED` call it.
        knobs: The values that each knob has over the run's settings; none where no setting says it.
    """

    run_id: str
    name: str
    facts: Mapping[str, str]
    knobs: Mapping[Knob, frozenset[Value]]

    def held(self, knob: Knob) -> Value | None:
        """The one value of a knob; None where it has several or none is known."""
        values = self.knobs[knob]
        return next(iter(values)) if len(values) == 1 else None

    @property
    def machine_known(self) -> bool:
        """Whether the run says anything of what it was measured on."""
        return any(called in self.facts for called in MACHINE.values())


def conditions_of(run: dict[str, Any], settings: pd.DataFrame, name: str = "") -> Conditions:
    """The conditions of a run.

    Args:
        run: As `Store.run`, or as `Store.measured_on`.
        settings: As `Store.settings`, or as `Store.knobs`.
        name: How it is shown; its id unless given.
    """
    environment, sweep = run["environment"], run["spec"].get("sweep") or {}
    # A field that is there and empty is said: a processor has no driver.
    facts = {called: str(environment[field] or "none") for field, called in MACHINE.items() if field in environment}
    facts |= {called: str(environment[field]) for field, called in _HOST.items() if environment.get(field)}
    facts |= _shape(environment) | _cards(run) | _asked(sweep, run["details"])
    if run.get("source") in _ORIGINS:
        facts[ORIGIN] = _ORIGINS[run["source"]]
    knobs = {knob: frozenset(setting_values(settings, knob).dropna()) for knob in KNOBS}
    return Conditions(run["id"], name or run["id"], facts, knobs)


def result_conditions(result: MeasuredRun, name: str = "") -> Conditions:
    """The conditions of a run as a page shows it; output tokens are those generated where nothing else says them."""
    found = conditions_of(result.run, result.settings, name)
    if found.knobs[Knob.OUTPUT_TOKENS] or result.samples.empty or found.facts.get(END_OF_TEXT) == "stops an answer":
        return found
    generated = result.samples["num_output_tokens"].dropna().unique()
    return replace(found, knobs={**found.knobs, Knob.OUTPUT_TOKENS: frozenset(Value((int(n),)) for n in generated)})


def setting_values(settings: pd.DataFrame, knob: Knob) -> pd.Series:
    """Where a knob stands in each setting, as `Value`; None where it is not said.

    Args:
        settings: Rows with the columns of `Store.settings`; a column that is missing is not said.
        knob: Which.
    """
    columns = [column for column in _COLUMNS[knob] if column in settings]
    if not set(columns) >= {column for column in _COLUMNS[knob] if column != _MASK} or settings.empty:
        return pd.Series(None, index=settings.index, dtype=object)
    # Many rows have few values, each of which is made once.
    rows = list(zip(*(settings[column].tolist() for column in columns), strict=True))
    values = {row: _value(dict(zip(columns, row, strict=True))) for row in set(rows)}
    return pd.Series([values[row] for row in rows], index=settings.index, dtype=object)


_MASK = "block_mask"
_COLUMNS = {
    Knob.VISION_TOKENS: ("grid_rows", "grid_columns"),
    Knob.TOP_K: ("top_k",),
    Knob.ACTIVE_BLOCKS: ("active_blocks", _MASK),
    Knob.OUTPUT_TOKENS: ("output_tokens",),
}
"""The columns of a setting that say where a knob stands."""


def _value(row: dict[Any, Any]) -> Value | None:
    mask = row.pop(_MASK, None)
    if any(pd.isna(number) for number in row.values()):
        return None
    return Value(tuple(int(number) for number in row.values()), mask if isinstance(mask, str) else "")


def _shape(environment: dict[str, Any]) -> dict[str, str]:
    """Which shape a model of one's own has; nothing of one that has a name, which is its shape's."""
    shape = environment.get("shape")
    if not isinstance(shape, dict) or environment.get("model") in NAMED:
        return {}
    number, told = environment.get("parameters"), _hash(json.dumps(shape, sort_keys=True))
    return {SHAPE: f"{number:,} parameters, configuration {told}" if isinstance(number, int) else told}


def _cards(run: dict[str, Any]) -> dict[str, str]:
    """How many cards a run was measured on that are in its figures; nothing where it does not say where it was."""
    places = [each for each in run.get("environments") or [] if not (each.get("refused") or each.get("set_aside"))] or [
        run["environment"]
    ]
    if not places[0].get("host"):
        return {}
    cards, hosts = len(cards_of(places)), len({each.get("host") for each in places})
    return {CARDS: "one" if cards == 1 else f"{cards} of {counted(hosts, 'machine')}"}


def _asked(sweep: dict[str, Any], details: dict[str, Any]) -> dict[str, str]:
    """What a sweep holds besides its knobs, as far as it is known."""
    found: dict[str, str] = {}
    if "use_eos_token" in details:
        found[END_OF_TEXT] = _end_of_text(bool(details["use_eos_token"]))
    if not sweep:
        return found
    found[END_OF_TEXT] = _end_of_text(bool(sweep.get("stop_at_eos")))
    if "warmup" in sweep:
        found[WARM_UP] = f"{sweep['warmup']} before each setting"
    if queries := sweep.get("queries"):
        asked = list(dict.fromkeys(query["question"] for query in queries["queries"]))
        pictures = len({str(query["image_id"]) for query in queries["queries"]})
        found[PICTURE] = f"{pictures:,} of {queries['name']}"
        found[PROMPT] = _shortened(asked[0]) if len(asked) == 1 else f"{len(asked):,} questions"
        return found
    if isinstance(sweep.get("picture"), dict):
        found[PICTURE] = f"{sweep['picture']['value']} ({sweep['picture']['kind']})"
    if "prompt" in sweep:
        found[PROMPT] = _shortened(sweep["prompt"])
    return found


def _end_of_text(stops: bool) -> str:
    return "stops an answer" if stops else "does not stop an answer"


def _shortened(prompt: str) -> str:
    """A prompt in quotes; of a long one the start and its length, so that two of them stay apart."""
    if len(prompt) <= _LONGEST_PROMPT:
        return f"“{prompt}”"
    return f"“{prompt[:_LONGEST_PROMPT]}…” ({len(prompt):,} letters, {_hash(prompt)})"


def _hash(text: str) -> str:
    """A few letters that tell a long text from another."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:6]


def told_apart(given: Sequence[Conditions]) -> list[Conditions]:
    """The same conditions with names of which no two are alike."""
    names = tell_apart({each.run_id: each.name for each in given})
    return [replace(each, name=names[each.run_id]) for each in given]


def find_differences(given: Sequence[Conditions], leave_out: Collection[str] = ()) -> list[str]:
    """A phrase for each condition in which some runs differ, and one for each run that does not say all of them.

    Args:
        given: Of runs with different ids; names that are alike are told apart.
        leave_out: What the comparison is about, as `MACHINE`, `ASKED` and `KNOBS` call it.
    """
    named = told_apart(list({each.run_id: each for each in given}.values()))
    if len(named) < 2:
        return []
    found, runs = [], _by_what_all_say(named)
    for called in (*MACHINE.values(), SHAPE, *_HOST.values(), CARDS, *ASKED, ORIGIN, *KNOBS.values()):
        if called in leave_out:
            continue
        said: dict[str, list[str]] = {}
        for each in runs:
            if (text := _said(each, called)) is not None:
                said.setdefault(text, []).append(each.name)
        if len(said) > 1:
            found.append(f"{called}: " + "; ".join(f"{text} ({' and '.join(who)})" for text, who in said.items()))
    return found + [text for each in named if (text := _unsaid(each, leave_out))]


def _by_what_all_say(runs: Sequence[Conditions]) -> list[Conditions]:
    """The conditions with blocks by their number alone, where a run does not say which of them ran."""
    blocks = Knob.ACTIVE_BLOCKS
    if all(value.mask for each in runs for value in each.knobs[blocks]):
        return list(runs)
    return [
        replace(each, knobs={**each.knobs, blocks: frozenset(Value(value.numbers) for value in each.knobs[blocks])})
        for each in runs
    ]


def _said(conditions: Conditions, called: str) -> str | None:
    """What a run says of a condition, in words; None where it does not."""
    if called not in KNOBS.values():
        return conditions.facts.get(called)
    knob = next(knob for knob, name in KNOBS.items() if name == called)
    return list_values(conditions.knobs[knob]) or None


def list_values(values: Iterable[Value]) -> str:
    """A knob's values in words: each, or the ends of many."""
    ordered = sorted(values)
    if len(ordered) > _MOST_LISTED:
        return f"{len(ordered)} values from {ordered[0]} to {ordered[-1]}"
    return ", ".join(str(value) for value in ordered)


def _unsaid(conditions: Conditions, leave_out: Collection[str]) -> str:
    """What a run does not say, in a phrase; empty where it says everything."""
    machine = [called for called in MACHINE.values() if called not in leave_out]
    others = [called for called in (*ASKED, *KNOBS.values()) if called not in leave_out]
    silent = [called for called in others if _said(conditions, called) is None]
    blocks = conditions.knobs[Knob.ACTIVE_BLOCKS]
    if KNOBS[Knob.ACTIVE_BLOCKS] not in leave_out and blocks and not all(value.mask for value in blocks):
        silent.append("block mask")
    if machine and not conditions.machine_known:
        more = f", nor its {', '.join(silent)}" if silent else ""
        return f"{conditions.name} does not say what it was measured on{more}: what differs there cannot be told"
    silent = [called for called in machine if called not in conditions.facts] + silent
    return (
        f"{conditions.name} does not say its {', '.join(silent)}: what differs there cannot be told" if silent else ""
    )


def known_alike(one: Conditions, other: Conditions, called: Iterable[str]) -> bool:
    """Whether two runs both say each of some facts, and the same, of models of one shape."""
    return one.facts.get(SHAPE) == other.facts.get(SHAPE) and all(
        name in one.facts and one.facts[name] == other.facts.get(name) for name in called
    )
