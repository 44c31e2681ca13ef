"""How far runs differ that measured the same in processes of their own."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from profcore import stats
from profcore.experiments.knobs import CATALOGUE
from profcore.results.sweep import load_result
from profcore.stats import METRIC_LABELS
from profcore.stats.between import Spread, needed, pooled_spread, spread, together
from profcore.stats.digits import MISSING, written, written_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from profcore.results.base import MeasuredRun
    from profcore.storage.read import Reader

Spreads = dict[tuple[Any, ...], dict[str, Spread]]
"""How far processes differ in each latency, by what they measured on (see `alike`)."""

CLAIM = 0.01
"""The share that a table says what it needs for."""

_ALIKE = ("device_name", "model", "weights", "dtype", "engine", "experts")
"""What of an environment must be the same for what one run's processes differ by to say something of another's."""


@dataclass(frozen=True)
class BetweenRuns:
    """How far the runs of one series differ.

    Attributes:
        stages: Of each latency, in the mean over settings.
        settings: The same at each setting, by its number and the latency.
        titles: What each setting is called.
    """

    stages: dict[str, Spread]
    settings: dict[tuple[int, str], Spread]
    titles: dict[int, str]


def between_runs(runs: Sequence[MeasuredRun]) -> BetweenRuns | None:
    """How far runs of the same sweep differ; None where fewer than two have medians with intervals.

    Args:
        runs: Of one series and experiment, so that their settings have the same numbers.
    """
    samples = [stats.add_derived(each.samples) for each in runs if not each.samples.empty]
    if len(samples) < 2:
        return None
    settings, titles = runs[0].settings["setting"].tolist(), runs[0].settings["title"].tolist()
    by_setting = [dict(iter(frame.groupby("setting"))) for frame in samples]
    stages: dict[str, Spread] = {}
    found: dict[tuple[int, str], Spread] = {}
    for metric in stats.METRICS:
        groups = {
            number: [each[number][metric].to_numpy(float) for each in by_setting if number in each]
            for number in settings
        }
        if pooled := pooled_spread(list(groups.values())):
            stages[metric] = pooled
        found |= {(number, metric): one for number, each in groups.items() if (one := spread(each))}
    return BetweenRuns(stages, found, dict(zip(settings, titles, strict=True))) if stages else None


def alike(environment: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """What a run was measured on, as far as processes are taken to differ alike on it; None where that is not said."""
    key = tuple(environment.get(name) for name in _ALIKE)
    return None if environment.get("device_name") is None or environment.get("engine") is None else key


def known_spreads(found: Sequence[tuple[tuple[Any, ...], BetweenRuns]]) -> Spreads:
    """How far processes differ in each latency.

    Args:
        found: Every series, with what it was measured on.
    """
    gathered: dict[tuple[Any, ...], dict[str, list[Spread]]] = defaultdict(lambda: defaultdict(list))
    for key, each in found:
        for metric, one in each.stages.items():
            gathered[key][metric].append(one)
    return {
        key: {metric: both for metric, each in metrics.items() if (both := together(each))}
        for key, metrics in gathered.items()
    }


def quoted(known: Mapping[str, Spread]) -> str:
    """What a run's page says of how far processes differ, in a sentence; empty where nothing is known."""
    said = [
        f"{METRIC_LABELS[metric] if metric != 'total_ms' else 'total'} ±{_percent(known[metric].between)} %"
        for metric in ("total_ms", "ttft_ms", "tpot_ms")
        if metric in known
    ]
    if not said:
        return ""
    number = next(iter(known.values())).processes
    return f"Between processes, by one standard deviation: {', '.join(said)} ({number} processes)."


def display_between(found: BetweenRuns, of: str = "settings") -> pd.DataFrame:
    """A table for people: a row for each latency, or each setting and latency, in per cent of the latency."""
    rows: list[tuple[dict[str, str], Spread]] = []
    if of == "stages":
        rows = [({"latency": METRIC_LABELS[metric]}, each) for metric, each in found.stages.items()]
    else:
        rows = [
            ({"setting": found.titles[number], "latency": METRIC_LABELS[metric]}, each)
            for number in found.titles
            for metric in stats.METRICS
            if (each := found.settings.get((number, metric)))
        ]
    return pd.DataFrame([{**named, **_row(each)} for named, each in rows])


def _row(each: Spread) -> dict[str, str]:
    claim = needed(each, CLAIM)
    return {
        "processes": str(each.processes),
        "between (%)": _percent(each.between),
        "95 % interval": written_interval(100 * each.low, 100 * each.high),
        "median's own error (%)": _percent(each.error),
        f"for ±{100 * CLAIM:g} %": f"{claim[0]:,} × {claim[1]:,} samples" if claim else MISSING,
    }


def _percent(share: float) -> str:
    return written(100 * share)


@dataclass(frozen=True)
class Series:
    """Runs that measured the same in processes of their own.

    Attributes:
        experiment: Of what they are.
        run_ids: Theirs, oldest first.
        key: What they were measured on (see `alike`).
        found: How far they differ.
    """

    experiment: str
    run_ids: tuple[str, ...]
    key: tuple[Any, ...]
    found: BetweenRuns


def load_series(store: Reader) -> list[Series]:
    """Every series of which two runs or more are done, and were measured on the same."""
    loaded = []
    for (_, experiment), rows in store.series().groupby(["series", "experiment"], sort=False):
        if len(rows) < 2 or experiment not in CATALOGUE:
            continue
        runs = [run for run_id in rows["id"] if (run := load_result(store, run_id))]
        keys = {alike(run.run["environment"]) for run in runs}
        found = between_runs(runs) if len(keys) == 1 else None
        key = keys.pop()
        if found and key:
            loaded.append(Series(str(experiment), tuple(run.run["id"] for run in runs), key, found))
    return loaded


def spreads_of(series: Sequence[Series]) -> Spreads:
    """How far processes differ in each latency, by what they measured on."""
    return known_spreads([(each.key, each.found) for each in series])
