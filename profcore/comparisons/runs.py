"""Runs beside each other: settings matched, a ratio for each stage, and a verdict. Pure but for the store it reads.

The verdict says whether the other run is faster or slower than the reference by more than a margin that counts, the
same within it, or whether the samples do not tell (equivalence by interval, Schuirmann 1987).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore import stats
from profcore.comparisons.conditions import find_differences
from profcore.stats import METRIC_LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.results.base import MeasuredRun

MARGIN = 0.02
"""The smallest difference that counts, as a share, unless another is chosen."""

_KNOBS = ["grid_rows", "grid_columns", "top_k", "active_blocks", "block_mask", "output_tokens"]
_QUERY = ["image_id", "query_id"]


@dataclass(frozen=True)
class RunComparison:
    """A run against a reference.

    Attributes:
        stages: A row for each latency: `metric`, `ratio` (over the reference), `low`, `high` (95 %), `settings` (how
            many were matched) and `verdict`.
        settings: The same for each matched setting: `title`, `metric`, `reference_ms`, `median_ms`, `ratio`, `low`,
            `high`, `verdict`.
        unmatched: How many settings of either have no counterpart.
    """

    stages: pd.DataFrame
    settings: pd.DataFrame
    unmatched: int


def compare_runs(reference: MeasuredRun, other: MeasuredRun, margin: float = MARGIN) -> RunComparison:
    """A run against a reference, setting by setting and over all of them.

    Settings match where every knob is the same that both runs know, and on real pictures the picture and question.
    Over all settings, the ratio is the geometric mean (see `stats.pooled_ratio`).

    Args:
        reference: What it is compared with.
        other: The run.
        margin: The smallest difference that counts, as a share.
    """
    pairs = _match(reference, other)
    first, second = stats.add_derived(reference.samples), stats.add_derived(other.samples)
    metrics = [metric for metric in stats.METRICS if metric in first and metric in second]
    before = dict(iter(first.groupby("setting")))
    after = dict(iter(second.groupby("setting")))
    pairs = [(one, two, title) for one, two, title in pairs if one in before and two in after]
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


def _match(reference: MeasuredRun, other: MeasuredRun) -> list[tuple[int, int, str]]:
    """Settings of both with the same knobs: their numbers, and the title."""
    keys = [
        column
        for column in (*_KNOBS, *_QUERY)
        if not reference.settings[column].isna().all() and not other.settings[column].isna().all()
    ]
    if not keys:
        return []

    def keyed(run: MeasuredRun) -> pd.DataFrame:
        frame = run.settings[["setting", "title", *keys]].copy()
        return frame.assign(key=frame[keys].astype(object).where(frame[keys].notna(), "").astype(str).agg("|".join, 1))

    first, second = keyed(reference), keyed(other)
    matched = first.drop_duplicates("key").merge(second.drop_duplicates("key"), on="key", suffixes=("", "_other"))
    return list(
        zip(matched["setting"].tolist(), matched["setting_other"].tolist(), matched["title"].tolist(), strict=True)
    )


def run_differences(named: dict[str, MeasuredRun]) -> list[str]:
    """What the runs differ in, their prompts and pictures included."""
    found = find_differences({name: run.run["environment"] for name, run in named.items()})
    for field, called in (("picture", "picture"), ("prompt", "prompt")):
        values: dict[str, list[str]] = {}
        for name, run in named.items():
            sweep: dict[str, Any] = run.run["spec"].get("sweep", {})
            if sweep and not sweep.get("queries"):
                shown = sweep.get(field)
                text = str(shown["value"] if isinstance(shown, dict) else shown)
                values.setdefault(text, []).append(name)
        if len(values) > 1:
            found.append(f"{called}: " + "; ".join(f"{value} ({', '.join(who)})" for value, who in values.items()))
    return found


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
