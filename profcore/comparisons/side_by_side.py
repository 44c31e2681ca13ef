"""Which runs of one experiment can be set side by side by their engines, and what they say together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from profcore.comparisons import engines
from profcore.comparisons.as_json import records
from profcore.comparisons.conditions import (
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
from profcore.comparisons.published import PUBLISHED, published_conditions, published_samples
from profcore.engines.names import ENGINES, PEERS
from profcore.experiments.knobs import get_experiment
from profcore.results.base import most_looks, tell_apart
from profcore.results.sweep import Result, load_result
from profcore.spec.environments import uncaptured_note
from profcore.spec.stages import Knob

if TYPE_CHECKING:
    from profcore.experiments.knobs import Experiment
    from profcore.storage.store import Store

_NOT_SAID = "not said"
# Runs that differ in one of these are another comparison; `_TITLED` of them stand in every title.
_TITLED = ("model", "weights", "dtype", "device_name")
_SPLIT_BY = (*(MACHINE[name] for name in (*_TITLED, "clock")), SHAPE, PICTURE, PROMPT, END_OF_TEXT)
# What an engine brings with it, and what the comparison is about.
_ENGINES_OWN = (MACHINE["engine"], MACHINE["experts"], MACHINE["attention"])


@dataclass(frozen=True)
class Group:
    """The runs of an experiment under each engine that were measured alike: run ids by engine; no two titles are alike.

    Of several under one engine it is the one that a figure rests on first (see `Reader.ranked`).
    """

    title: str
    runs: dict[str, str]


@dataclass(frozen=True)
class SideBySide:
    """Several engines on one experiment.

    Attributes:
        rows: Medians over the knob, as `charts.engines` takes them; the floor among them.
        sensitivities: As `engines.sensitivities`, with `engine`.
        differences: What else than the engine differs between the runs, in words.
        notes: What to know of the figures besides, in sentences.
        published: Whether the published code measured the same shape with its knobs where these runs hold them.
        results: The runs with samples.
    """

    rows: pd.DataFrame
    sensitivities: pd.DataFrame
    differences: list[str]
    notes: list[str]
    published: bool
    results: list[Result]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "medians": records(self.rows),
            "sensitivities": records(self.sensitivities),
            "differences": self.differences,
            "notes": self.notes,
        }


def find_groups(store: Store, experiment: str) -> list[Group]:
    """Runs that differ in their engine alone: those measured here under several first, then those with the most.

    Imported runs are left out: nobody measured them here.
    """
    knob = get_experiment(experiment).knob
    found: dict[tuple[Any, ...], dict[str, Conditions]] = {}
    for run_id in store.ranked_apart(experiment):
        run = store.measured_on(run_id)
        if run is None or (engine := run["environment"].get("engine")) not in (*ENGINES, *PEERS):
            continue
        conditions = conditions_of(run, store.knobs(run_id))
        # The first of each engine stays.
        found.setdefault(_key(conditions, knob), {}).setdefault(engine, conditions)
    groups = list(found.values())
    titles = _titles([_described(next(iter(group.values())), knob) for group in groups])

    def own(group: dict[str, Conditions]) -> bool:
        return any(each.facts.get(ORIGIN) == "measured here" for each in group.values()) and len(group) > 1

    ordered = sorted(zip(titles, groups, strict=True), key=lambda pair: (not own(pair[1]), -len(pair[1])))
    return [Group(title, _ordered(group)) for title, group in ordered]


def _ordered(group: dict[str, Conditions]) -> dict[str, str]:
    return {engine: group[engine].run_id for engine in (*ENGINES, *PEERS) if engine in group}


def _key(conditions: Conditions, knob: Knob) -> tuple[Any, ...]:
    """All that runs of one group have alike."""
    held = tuple(conditions.knobs[each] for each in KNOBS if each is not knob)
    return (*(conditions.facts.get(called) for called in _SPLIT_BY), *held)


def _described(conditions: Conditions, knob: Knob) -> dict[str, str]:
    """The same in words."""
    return {
        **{called: conditions.facts.get(called, _NOT_SAID) for called in _SPLIT_BY},
        **{name: list_values(conditions.knobs[each]) or _NOT_SAID for each, name in KNOBS.items() if each is not knob},
    }


def _titles(described: list[dict[str, str]]) -> list[str]:
    """What each group is called: what it was measured on, and what tells it from others of the same."""

    def titled(each: dict[str, str]) -> str:
        model, weights, dtype, device = (each[MACHINE[name]] for name in _TITLED)
        return f"{model} ({weights} weights, {dtype}) on {device}"

    shared = Counter(titled(each) for each in described)
    titles = []
    for each in described:
        title = titled(each)
        if shared[title] > 1:
            alike = [other for other in described if titled(other) == title]
            telling = [called for called in each if len({other[called] for other in alike}) > 1]
            title += f"; {', '.join(f'{called}: {each[called]}' for called in telling)}"
        titles.append(title)
    # Long lists are shortened in words, so that two titles may still be alike.
    return list(tell_apart({str(place): title for place, title in enumerate(titles, start=1)}).values())


@dataclass
class _Parts:
    """What is gathered of a group, run by run."""

    rows: list[pd.DataFrame] = field(default_factory=list)
    slopes: list[pd.DataFrame] = field(default_factory=list)
    conditions: list[Conditions] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    several: dict[int, list[str]] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)

    def add(self, experiment: Experiment, samples: pd.DataFrame, engine: str, most: int | None = None) -> None:
        """Medians, with intervals as `stats.interval_for` gives them, and slopes of one series."""
        self.rows.append(engines.known_of(engine, engines.medians(experiment, samples, most)).assign(engine=engine))
        self.slopes.append(engines.known_of(engine, engines.sensitivities(experiment, samples)).assign(engine=engine))
        for count in engines.equal_counts(experiment, samples):
            self.several.setdefault(count, []).append(engine)

    def mask_notes(self) -> list[str]:
        """What to know where masks run equally many blocks."""
        return [
            f"Several masks run {count} blocks ({', '.join(who)}). Each is a setting and a point of its own: a line "
            "joins one of each number, the first blocks where they were measured, and no slope is given."
            for count, who in self.several.items()
        ]


def load_side_by_side(store: Store, experiment_name: str, group: Group) -> SideBySide:
    """The runs of a group together, beside the floor and, where it measured the same, the published code."""
    experiment = get_experiment(experiment_name)
    parts = _Parts()
    floors, counted = pd.DataFrame(), False
    for engine, run_id in group.runs.items():
        result = load_result(store, run_id)
        if result is None or result.samples.empty:
            continue
        parts.add(experiment, result.samples, engine, most_looks(result.run["spec"]))
        parts.results.append(result)
        parts.conditions.append(conditions_of(result.run, result.settings, engine))
        if note := uncaptured_note(result.run["environment"]):
            parts.notes.append(note)
        known = result.summary.dropna(subset=["floor_ms"])
        # A floor from experts that were counted is nearer to the truth than one from experts that are expected.
        if (result.routing_counted, len(known)) > (counted, len(floors)):
            floors, counted = known, result.routing_counted
    if not floors.empty:
        parts.rows.append(_floor_rows(experiment, floors))
    published = _add_published(parts, experiment)
    return SideBySide(
        rows=pd.concat(parts.rows, ignore_index=True) if parts.rows else pd.DataFrame(),
        sensitivities=pd.concat(parts.slopes, ignore_index=True) if parts.slopes else pd.DataFrame(),
        differences=find_differences(parts.conditions, leave_out=_ENGINES_OWN),
        notes=parts.mask_notes() + parts.notes,
        published=published,
        results=parts.results,
    )


def _floor_rows(experiment: Experiment, floors: pd.DataFrame) -> pd.DataFrame:
    """The floor as a series; the lowest where several settings have one value of the knob."""
    floors = floors[floors["metric"].isin(engines.compared_metrics(experiment))]
    least = floors.groupby(["x", "metric"])["floor_ms"].min().rename("median").reset_index()
    missing = float("nan")
    return least.assign(mask="", line=0, low=missing, high=missing, n=0, engine=engines.FLOOR)


def _add_published(parts: _Parts, experiment: Experiment) -> bool:
    """The published code beside runs of the same shape, unless it held a knob elsewhere; whether it stands there."""
    whole = [each for each in parts.conditions if each.facts.get(MACHINE["model"]) == "molmoe-1b"]
    if not whole:
        return False
    theirs = published_conditions(experiment)
    for knob in KNOBS:
        ours, held = whole[0].held(knob), theirs.held(knob)
        if knob is not experiment.knob and ours and held and ours.agrees(held) is False:
            parts.notes.append(f"The {PUBLISHED} is not shown: {KNOBS[knob]} is {held} there and {ours} in these runs.")
            return False
    if experiment.knob is Knob.OUTPUT_TOKENS:
        parts.notes.append(f"The {PUBLISHED} answered about real pictures of several sizes, these runs about one.")
    parts.add(experiment, published_samples(experiment), PUBLISHED)
    return True
