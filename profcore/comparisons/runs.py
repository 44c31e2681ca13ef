"""Runs beside each other: settings matched, a ratio for each stage, and a verdict. Pure.

The verdict says whether the other run is faster or slower than the reference by more than a margin that counts, the
same within it, or whether the samples do not tell (equivalence by interval, Schuirmann 1987).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore import stats
from profcore.comparisons.as_json import records
from profcore.comparisons.between import alike, quoted
from profcore.comparisons.conditions import find_differences, result_conditions, told_apart
from profcore.comparisons.energy import compare_energy
from profcore.comparisons.matching import match_settings
from profcore.errors import UserError
from profcore.results.tables import padded
from profcore.stats import METRIC_LABELS
from profcore.stats.between import with_spread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from profcore.comparisons.between import Spreads
    from profcore.results.base import MeasuredRun
    from profcore.stats.between import Spread

_RATIO_DECIMALS = 4
MARGIN = 0.02
"""The smallest difference that counts, as a share, unless another is chosen."""


@dataclass(frozen=True)
class RunComparison:
    """A run against a reference.

    Attributes:
        stages: A row for each latency: `metric`, `ratio` (over the reference), `low`, `high` (95 %), `settings` (how
            many were matched) and `verdict`.
        settings: The same for each matched setting: `number` (the reference's), `title`, `metric`, `reference_ms`,
            `median_ms`, `ratio`, `low`, `high`, `verdict`.
        unmatched: How many settings of either have no counterpart.
        ambiguous: How many of these fit several of the other run, which says too little of its own.
        energy: As `comparisons.energy.compare_energy`; empty where either run measured none.
    """

    stages: pd.DataFrame
    settings: pd.DataFrame
    unmatched: int
    ambiguous: int = 0
    energy: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True)
class Comparison:
    """Several runs against the first of them.

    Attributes:
        reference: The run that the others are compared with.
        runs: The others by their ids, each against the reference.
        names: What each run is called, the reference first; no two alike.
        differences: The conditions that differ, in words, and what cannot be told.
        processes: What the intervals know of how far processes differ, in sentences.
    """

    reference: str
    runs: dict[str, RunComparison]
    names: dict[str, str]
    differences: list[str]
    processes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "reference": self.reference,
            "names": self.names,
            "differences": self.differences,
            "processes": self.processes,
            "runs": {
                run_id: {
                    "stages": records(each.stages),
                    "settings": records(each.settings),
                    "energy": records(each.energy),
                    "unmatched": each.unmatched,
                    "ambiguous": each.ambiguous,
                }
                for run_id, each in self.runs.items()
            },
        }

    def table(self, of: str = "stages") -> pd.DataFrame:
        """The 'stages', 'settings' or 'energy' of all runs, with `run`, how each is called."""
        return pd.concat([getattr(each, of).assign(run=self.names[run_id]) for run_id, each in self.runs.items()])


def compare_all(
    runs: Sequence[MeasuredRun],
    margin: float = MARGIN,
    names: Mapping[str, str] | None = None,
    spreads: Spreads | None = None,
) -> Comparison:
    """Two or more runs, each against the first.

    Args:
        runs: Different ones.
        margin: The smallest difference that counts, as a share.
        names: How runs are shown, by their ids; the ids unless given.
        spreads: How far processes differ, where that was measured; intervals hold it then.

    Raises:
        UserError: There are fewer than two, or one has no samples.
    """
    called = names or {}
    once = list({each.run["id"]: each for each in runs}.values())
    if len(once) < 2:
        raise UserError("A comparison needs two runs: name another.")
    for each in once:
        if each.samples.empty:
            raise UserError(f"{called.get(each.run['id'], each.run['id'])} has no samples to compare.")
    conditions = told_apart([result_conditions(each, called.get(each.run["id"], "")) for each in once])
    reference, *others = once
    known = {each.run["id"]: spreads_for(each, spreads) for each in once}
    shown = {each.run_id: each.name for each in conditions}
    return Comparison(
        reference=reference.run["id"],
        runs={
            each.run["id"]: compare_runs(reference, each, margin, (known[reference.run["id"]], known[each.run["id"]]))
            for each in others
        },
        names=shown,
        differences=find_differences(conditions),
        processes=processes_said(known, shown),
    )


def spreads_for(run: MeasuredRun, spreads: Spreads | None) -> Mapping[str, Spread]:
    """How far processes differ in each latency on what a run was measured on; empty where that is not known."""
    key = alike(run.run["environment"])
    return (spreads or {}).get(key, {}) if key else {}


def processes_said(known: Mapping[str, Mapping[str, Spread]], names: Mapping[str, str]) -> list[str]:
    """What the intervals of a comparison know of how far processes differ."""
    reference, *others = known
    lacking = " and ".join(names[run_id] for run_id, each in known.items() if not each)
    unknown = f"how far processes differ is not known of {lacking} (python -m profcore repeat measures it)."
    if not known[reference] or not any(known[run_id] for run_id in others):
        return [f"The intervals know one process of each run only: {unknown}"]
    said: dict[str, list[str]] = {}
    for run_id, each in known.items():
        if each:
            said.setdefault(quoted(each), []).append(names[run_id])
    alone = len(said) == 1
    each_said = [text if alone else f"{' and '.join(who)}: {text}" for text, who in said.items()]
    found = [f"The intervals hold how far processes differ as well. {' '.join(each_said)}"]
    return [*found, f"Those with {lacking} do not: {unknown}"] if lacking else found


_NOT_KNOWN: tuple[Mapping[str, Spread], Mapping[str, Spread]] = ({}, {})


def _is_repeated(samples: pd.DataFrame, metric: str) -> bool:
    return metric in samples and int(samples[metric].notna().sum()) > 1


def compare_runs(
    reference: MeasuredRun,
    other: MeasuredRun,
    margin: float = MARGIN,
    spreads: tuple[Mapping[str, Spread], Mapping[str, Spread]] = _NOT_KNOWN,
) -> RunComparison:
    """A run against a reference, setting by setting and over all of them.

    Over all settings, the ratio is the geometric mean (see `stats.pooled_ratio`).

    Args:
        reference: What it is compared with.
        other: The run.
        margin: The smallest difference that counts, as a share.
        spreads: How far processes differ in each latency on what either run was measured on, where that is known.
    """
    matches = match_settings(reference, other)
    first, second = stats.add_derived(reference.samples), stats.add_derived(other.samples)
    metrics = [metric for metric in stats.METRICS if metric in first and metric in second]
    if not (_is_repeated(first, stats.READING) and _is_repeated(second, stats.READING)):
        # The one picture of a sweep is read once, of which nothing follows.
        metrics = [metric for metric in metrics if metric != stats.READING]
    before, after = dict(iter(first.groupby("setting"))), dict(iter(second.groupby("setting")))
    pairs = [pair for pair in matches.pairs if pair[0] in before and pair[1] in after]
    stages, settings = [], []
    for metric in metrics:
        values = [
            (before[one][metric].to_numpy(dtype=float), after[two][metric].to_numpy(dtype=float), one, title)
            for one, two, title in pairs
        ]
        pooled = _widened(stats.pooled_ratio([(one, two) for one, two, *_ in values]), metric, spreads)
        if not pooled.n:
            continue
        stages.append([metric, pooled.value, pooled.low, pooled.high, pooled.n, verdict(pooled, margin)])
        for one, two, number, title in values:
            ratio = _widened(stats.ratio_of_medians(one, two), metric, spreads)
            if ratio.n:
                medians = float(np.nanmedian(one)), float(np.nanmedian(two))
                found = [ratio.value, ratio.low, ratio.high, verdict(ratio, margin)]
                settings.append([number, title, metric, *medians, *found])
    return RunComparison(
        stages=pd.DataFrame(stages, columns=["metric", "ratio", "low", "high", "settings", "verdict"]),
        settings=pd.DataFrame(
            settings,
            columns=["number", "title", "metric", "reference_ms", "median_ms", "ratio", "low", "high", "verdict"],
        ),
        unmatched=len(before) + len(after) - 2 * len(pairs),
        ambiguous=matches.ambiguous,
        energy=compare_energy(reference, other, pairs),
    )


def _widened(
    ratio: stats.Ratio, metric: str, spreads: tuple[Mapping[str, Spread], Mapping[str, Spread]]
) -> stats.Ratio:
    """A ratio whose interval holds how far processes differ, where that is known of both runs."""
    before, after = spreads[0].get(metric), spreads[1].get(metric)
    return with_spread(ratio, before, after) if before and after else ratio


def verdict(ratio: stats.Ratio, margin: float = MARGIN) -> str:
    """'faster', 'slower', 'same' or 'undecided', from a ratio's interval and the margin that counts."""
    if np.isnan(ratio.low):
        return "undecided"
    if 1 - margin <= ratio.low and ratio.high <= 1 + margin:
        return "same"
    if ratio.high < 1:
        return "faster"
    if ratio.low > 1:
        return "slower"
    return "undecided"


def display_comparison(rows: pd.DataFrame, names: Sequence[str] = ()) -> pd.DataFrame:
    """Stages or settings of comparisons as a table for people.

    Args:
        rows: `RunComparison.stages` or `.settings`; with `run` where several runs are compared.
        names: Columns that come first as they are.
    """
    frame = pd.DataFrame({name: rows[name] for name in names if name in rows})
    frame["latency"] = rows["metric"].map(METRIC_LABELS)
    for column, title in (("reference_ms", "reference (ms)"), ("median_ms", "this run (ms)")):
        if column in rows:
            frame[title] = padded(rows[column])
    for column, title in (("ratio", "ratio"), ("low", "95 % from"), ("high", "to")):
        frame[title] = padded(rows[column], _RATIO_DECIMALS)
    if "settings" in rows:
        frame["settings"] = rows["settings"]
    frame["verdict"] = rows["verdict"]
    return frame.reset_index(drop=True)
