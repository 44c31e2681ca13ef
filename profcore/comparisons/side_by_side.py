"""Which runs of one experiment can be set side by side by their engines, and what they say together."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from profcore.comparisons import engines
from profcore.comparisons.conditions import EVERYTHING, find_differences
from profcore.engines.names import ENGINES
from profcore.experiments.knobs import get_experiment
from profcore.results.sweep import load_result

if TYPE_CHECKING:
    from profcore.storage.store import Store

FLOOR = "floor"
"""What the physical floor is called beside the engines."""

# Where runs differ in one of these, the difference is not the engine's alone.
_SAME = {name: EVERYTHING[name] for name in ("clock", "torch", "transformers", "driver", "cuda", "python")}


@dataclass(frozen=True)
class Group:
    """The newest run of an experiment under each engine, on one device, model and dtype: run ids by engine."""

    title: str
    runs: dict[str, str]


@dataclass(frozen=True)
class SideBySide:
    """Several engines on one experiment.

    Attributes:
        rows: Medians over the knob, as `charts.engines` takes them; the floor among them.
        sensitivities: As `comparison.sensitivities`, with `engine`.
        differences: What else than the engine differs between the runs, in words.
        published: Whether the published code measured the same shape.
    """

    rows: pd.DataFrame
    sensitivities: pd.DataFrame
    differences: list[str]
    published: bool


def find_groups(store: Store, experiment: str) -> list[Group]:
    """Runs that differ in their engine, those with the most engines first, then the newest."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for run in store.runs(experiment).to_dict("records"):
        if not run["num_samples"] or not isinstance(run["environment"], str):
            continue
        environment = json.loads(run["environment"])
        key = tuple(str(environment.get(name)) for name in ("device_name", "model", "weights", "dtype"))
        # Newest first, so the first of each engine stays.
        found.setdefault(key, {}).setdefault(environment["engine"], run["id"])
    groups = [
        Group(f"{model} ({weights} weights, {dtype}) on {device}", _ordered(runs))
        for (device, model, weights, dtype), runs in found.items()
    ]
    return sorted(groups, key=lambda group: -len(group.runs))


def load_side_by_side(store: Store, experiment_name: str, group: Group) -> SideBySide:
    """The runs of a group together, beside the floor and, at full shape, the published code."""
    experiment = get_experiment(experiment_name)
    rows, slopes, environments = [], [], {}
    floors, counted = pd.DataFrame(), False
    for engine, run_id in group.runs.items():
        result = load_result(store, run_id)
        if result is None or result.samples.empty:
            continue
        environments[engine] = result.run["environment"]
        rows.append(engines.medians(experiment, result.samples).assign(engine=engine))
        slopes.append(engines.sensitivities(experiment, result.samples).assign(engine=engine))
        known = result.summary.dropna(subset=["floor_ms"])
        # A floor from experts that were counted is nearer to the truth than one from experts that are expected.
        if (result.routing_counted, len(known)) > (counted, len(floors)):
            floors, counted = known, result.routing_counted
    if not floors.empty:
        floors = floors[floors["metric"].isin(engines.compared_metrics(experiment))]
        floors = floors.assign(median=floors["floor_ms"], low=float("nan"), high=float("nan"), n=0, engine=FLOOR)
        rows.append(floors[["x", "metric", "median", "low", "high", "n", "engine"]])
    full_shape = any(environment.get("model") == "molmoe-1b" for environment in environments.values())
    if full_shape:
        published = engines.published_samples(experiment)
        rows.append(engines.medians(experiment, published).assign(engine=engines.PUBLISHED))
        slopes.append(engines.published_sensitivities(experiment))
    return SideBySide(
        rows=pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(),
        sensitivities=pd.concat(slopes, ignore_index=True) if slopes else pd.DataFrame(),
        differences=find_differences(environments, _SAME),
        published=full_shape,
    )


def _ordered(runs: dict[str, str]) -> dict[str, str]:
    return {engine: runs[engine] for engine in ENGINES if engine in runs}
