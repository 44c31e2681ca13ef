"""Runs that are compared, as charts lay them over each other and as a sentence says it. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pandas as pd

from profcore import stats
from profcore.comparisons.matching import match_settings
from profcore.results.base import most_looks
from profcore.stats import METRIC_LABELS
from profcore.stats.digits import written, written_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from profcore.comparisons.runs import Comparison
    from profcore.results.base import MeasuredRun

# What a comparison is told by in a sentence: the first that both runs have.
_TOLD_BY = ("total_ms", "ttft_ms")
_SHOWN = ("metric", "n", "median", "low", "high")


def medians_by_setting(runs: Sequence[MeasuredRun], names: Mapping[str, str]) -> pd.DataFrame:
    """The medians of runs at the settings that the first shares with any other.

    Args:
        runs: The reference first.
        names: What each run is called, by its id.

    Returns:
        `run` (its name), `number` (of the setting, the reference's), `title` and `label` (as axes write it) of the
        setting, `metric`, `n`, `median`, `low`, `high` (95 % interval of the median), in milliseconds.
    """
    reference, *others = runs
    pairs = {each.run["id"]: match_settings(reference, each).pairs for each in others}
    shared = {one for found in pairs.values() for one, _, _ in found}
    numbers = {reference.run["id"]: {number: number for number in shared}}
    numbers |= {run_id: {two: one for one, two, _ in found} for run_id, found in pairs.items()}
    parts = [_medians(each, numbers[each.run["id"]]).assign(run=names[each.run["id"]]) for each in runs]
    return _named(pd.concat(parts, ignore_index=True), reference)


def ratios_by_setting(found: Comparison, reference: MeasuredRun) -> pd.DataFrame:
    """The ratio of each other run to the reference at each setting that they share.

    Returns:
        As `RunComparison.settings`, with `run` (its name) and the setting's `label`.
    """
    return _named(found.table("settings"), reference)


def sentences(found: Comparison, margin: float, called: Mapping[str, str]) -> list[str]:
    """For each other run whether it is faster or slower than the reference over all, by how much and how surely.

    Args:
        found: The comparison.
        margin: The smallest difference that counts in it, as a share.
        called: What a sentence calls each run, by its id.
    """
    said = []
    for run_id, each in found.runs.items():
        rows = {row["metric"]: row for row in each.stages.to_dict("records")}
        metric = next((metric for metric in _TOLD_BY if metric in rows), None)
        if metric is None:
            said.append(f"{called[run_id]} has no setting in common with {called[found.reference]}.")
            continue
        said.append(_sentence(rows[metric], metric, called[run_id], called[found.reference], margin))
    return said


def _sentence(row: dict[Any, Any], metric: str, other: str, reference: str, margin: float) -> str:
    verdicts = {
        "faster": f"{other} is faster than {reference}",
        "slower": f"{other} is slower than {reference}",
        "same": f"{other} and {reference} are the same within ±{100 * margin:g} %",
        "undecided": f"Whether {other} is faster or slower than {reference} cannot be told",
    }
    number = int(row["settings"])
    interval = "without an interval, for lack of samples"
    if math.isfinite(row["low"]):
        interval = f"95 % interval {written_interval(row['low'], row['high'])}"
    latency = METRIC_LABELS[metric] if metric == "ttft_ms" else METRIC_LABELS[metric].lower()
    return (
        f"{verdicts[row['verdict']]}: over {number} setting{'' if number == 1 else 's'} its {latency} is "
        f"{written(row['ratio'])} times that of {reference} ({interval})."
    )


def _medians(run: MeasuredRun, numbers: Mapping[int, int]) -> pd.DataFrame:
    """The medians of a run at some of its settings, which get the numbers that the reference has for them."""
    samples = run.samples[run.samples["setting"].isin(list(numbers))]
    if samples.empty:
        return pd.DataFrame(columns=["number", *_SHOWN])
    summary = stats.summarise(samples, stats.interval_for(most_looks(run.run["spec"])))
    return summary[list(_SHOWN)].assign(number=summary["setting"].map(dict(numbers)))


def _named(rows: pd.DataFrame, reference: MeasuredRun) -> pd.DataFrame:
    """Rows with the names that the reference has for their settings, in its order."""
    settings = reference.settings
    titles = settings["title"]
    labels = settings.get("label", titles)
    rows = rows.assign(
        title=rows["number"].map(dict(zip(settings["setting"], titles, strict=True))),
        label=rows["number"].map(dict(zip(settings["setting"], labels, strict=True))),
    )
    return rows.sort_values("number", kind="stable").reset_index(drop=True)
