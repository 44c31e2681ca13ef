"""Runs beside each other: settings matched, a ratio for each stage, and a verdict. Pure.

The verdict says whether the other run is faster or slower than the reference by more than a margin that counts, the
same within it, or whether the samples do not tell (equivalence by interval, Schuirmann 1987).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore import stats
from profcore.comparisons.as_json import records
from profcore.comparisons.conditions import find_differences, result_conditions, told_apart
from profcore.comparisons.matching import match_settings
from profcore.errors import UserError
from profcore.stats import METRIC_LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from profcore.results.base import MeasuredRun

MARGIN = 0.02
"""The smallest difference that counts, as a share, unless another is chosen."""


@dataclass(frozen=True)
class RunComparison:
    """A run against a reference.

    Attributes:
        stages: A row for each latency: `metric`, `ratio` (over the reference), `low`, `high` (95 %), `settings` (how
            many were matched) and `verdict`.
        settings: The same for each matched setting: `title`, `metric`, `reference_ms`, `median_ms`, `ratio`, `low`,
            `high`, `verdict`.
        unmatched: How many settings of either have no counterpart.
        ambiguous: How many of these fit several of the other run, which says too little of its own.
    """

    stages: pd.DataFrame
    settings: pd.DataFrame
    unmatched: int
    ambiguous: int = 0


@dataclass(frozen=True)
class Comparison:
    """Several runs against the first of them.

    Attributes:
        reference: The run that the others are compared with.
        runs: The others by their ids, each against the reference.
        names: What each run is called, the reference first; no two alike.
        differences: The conditions that differ, in words, and what cannot be told.
    """

    reference: str
    runs: dict[str, RunComparison]
    names: dict[str, str]
    differences: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "reference": self.reference,
            "names": self.names,
            "differences": self.differences,
            "runs": {
                run_id: {
                    "stages": records(each.stages),
                    "settings": records(each.settings),
                    "unmatched": each.unmatched,
                    "ambiguous": each.ambiguous,
                }
                for run_id, each in self.runs.items()
            },
        }

    def table(self, of: str = "stages") -> pd.DataFrame:
        """The 'stages' or 'settings' of all runs, with `run`, how each is called."""
        return pd.concat([getattr(each, of).assign(run=self.names[run_id]) for run_id, each in self.runs.items()])


def compare_all(
    runs: Sequence[MeasuredRun], margin: float = MARGIN, names: Mapping[str, str] | None = None
) -> Comparison:
    """Two or more runs, each against the first.

    Args:
        runs: Different ones.
        margin: The smallest difference that counts, as a share.
        names: How runs are shown, by their ids; the ids unless given.

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
    return Comparison(
        reference=reference.run["id"],
        runs={each.run["id"]: compare_runs(reference, each, margin) for each in others},
        names={each.run_id: each.name for each in conditions},
        differences=find_differences(conditions),
    )


def compare_runs(reference: MeasuredRun, other: MeasuredRun, margin: float = MARGIN) -> RunComparison:
    """A run against a reference, setting by setting and over all of them.

    Over all settings, the ratio is the geometric mean (see `stats.pooled_ratio`).

    Args:
        reference: What it is compared with.
        other: The run.
        margin: The smallest difference that counts, as a share.
    """
    matches = match_settings(reference, other)
    first, second = stats.add_derived(reference.samples), stats.add_derived(other.samples)
    metrics = [metric for metric in stats.METRICS if metric in first and metric in second]
    before, after = dict(iter(first.groupby("setting"))), dict(iter(second.groupby("setting")))
    pairs = [(one, two, title) for one, two, title in matches.pairs if one in before and two in after]
    stages, settings = [], []
    for metric in metrics:
        values = [
            (before[one][metric].to_numpy(dtype=float), after[two][metric].to_numpy(dtype=float), title)
            for one, two, title in pairs
        ]
        pooled = stats.pooled_ratio([(one, two) for one, two, _ in values])
        if not pooled.n:
            continue
        stages.append([metric, pooled.value, pooled.low, pooled.high, pooled.n, verdict(pooled, margin)])
        for one, two, title in values:
            ratio = stats.ratio_of_medians(one, two)
            if ratio.n:
                medians = float(np.nanmedian(one)), float(np.nanmedian(two))
                settings.append([title, metric, *medians, ratio.value, ratio.low, ratio.high, verdict(ratio, margin)])
    return RunComparison(
        stages=pd.DataFrame(stages, columns=["metric", "ratio", "low", "high", "settings", "verdict"]),
        settings=pd.DataFrame(
            settings,
            columns=["title", "metric", "reference_ms", "median_ms", "ratio", "low", "high", "verdict"],
        ),
        unmatched=len(before) + len(after) - 2 * len(pairs),
        ambiguous=matches.ambiguous,
    )


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
            frame[title] = rows[column].round(3)
    frame["ratio"] = rows["ratio"].round(4)
    frame["95 % from"], frame["to"] = rows["low"].round(4), rows["high"].round(4)
    if "settings" in rows:
        frame["settings"] = rows["settings"]
    frame["verdict"] = rows["verdict"]
    return frame.reset_index(drop=True)
