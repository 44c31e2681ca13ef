"""How an experiment's latencies changed over dates and versions: runs measured alike but for those, one after another.

Each run is compared with the one before it. Of many comparisons some would show a change by chance, so that the
intervals are taken at a confidence at which all of a history's hold together in 95 %.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from profcore import stats
from profcore.comparisons.conditions import result_conditions
from profcore.comparisons.matching import match_settings
from profcore.comparisons.runs import spreads_for, verdict
from profcore.comparisons.versions import BESIDES, VERSIONS, alike_key
from profcore.stats.between import with_spread
from profcore.stats.log_ratios import log_ratio
from profcore.stats.medians import SMALLEST_FOR_RATIO
from profcore.stats.regression import together

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.comparisons.between import Spreads
    from profcore.results.base import MeasuredRun

CHANGES = ("slower", "faster")
"""What is marked where an interval says so."""


class Change(NamedTuple):
    """A run against one before it: the ratio with its interval, and a verdict as `history` has it."""

    ratio: float
    low: float
    high: float
    verdict: str


def histories(runs: Sequence[MeasuredRun]) -> list[list[MeasuredRun]]:
    """Runs that differ in versions alone, those of each together, oldest first; the longest history first."""
    groups: dict[tuple[Any, ...], list[MeasuredRun]] = defaultdict(list)
    for run in sorted(runs, key=_moment):
        if not run.samples.empty and result_conditions(run).machine_known:
            groups[alike_key(run)].append(run)
    return sorted(groups.values(), key=lambda group: (len(group), _moment(group[-1])), reverse=True)


def _moment(run: MeasuredRun) -> tuple[Any, str]:
    return run.run["created_at"], run.run["id"]


def settings_of(runs: Sequence[MeasuredRun]) -> list[str]:
    """The settings that the newest run has samples of, by their titles."""
    newest = runs[-1]
    measured = newest.settings["setting"].isin(newest.samples["setting"].unique())
    return [str(title) for title in newest.settings.loc[measured, "title"]]


def history(
    runs: Sequence[MeasuredRun], metric: str, title: str | None, margin: float, spreads: Spreads | None = None
) -> pd.DataFrame:
    """A row for each run of a history that knows a latency, oldest first.

    Args:
        runs: As one of `histories`.
        metric: Of `stats.METRICS`.
        title: A setting; None for all that two runs have in common.
        margin: The smallest change that counts, as a share.
        spreads: How far processes differ, where that was measured; intervals hold it then.

    Returns:
        `run`, `created_at`, `label` (as axes write it), the versions, commit, host and card; `value`, `low` and `high`:
        of a setting its median in milliseconds with its 95 % interval, of all settings how many times the first run's,
        which has no interval itself; `ratio`, `ratio_low`, `ratio_high` to the run before, and `change`: 'slower',
        'faster', 'same', 'undecided', or '' of the first.
    """
    known = [(run, values) for run in runs if (values := _by_title(run, metric, title))]
    confidence = together(len(known) - 1)
    rows = []
    for place, (run, values) in enumerate(known):
        change = Change(np.nan, np.nan, np.nan, "")
        if place:
            change = _change(known[place - 1], (run, values), metric, margin, confidence, spreads)
        shown = _shown(values, title) if title is not None else _times(known[0], (run, values))
        environment = run.run["environment"]
        torch = environment.get("torch")
        rows.append(
            {
                "run": run.run["id"],
                "created_at": run.run["created_at"],
                "label": f"{run.run['created_at']:%d %b %H:%M}|{f'torch {torch}' if torch else ''}",
                **{name: environment.get(name) for name in (*VERSIONS, *BESIDES)},
                **dict(zip(("value", "low", "high"), shown, strict=True)),
                "ratio": change.ratio,
                "ratio_low": change.low,
                "ratio_high": change.high,
                "change": change.verdict,
            }
        )
    columns = ["run", "created_at", "label", *VERSIONS, *BESIDES, "value", "low", "high"]
    found = pd.DataFrame(rows, columns=[*columns, "ratio", "ratio_low", "ratio_high", "change"])
    return found.assign(label=_told_apart(found["label"]))


def since_the_first(
    runs: Sequence[MeasuredRun], metric: str, title: str | None, margin: float, spreads: Spreads | None = None
) -> Change | None:
    """The newest run of a history against its first; None where fewer than three know the latency.

    Steps that are each too small to be marked may add up. It is asked of one pair, so that its interval is at 95 %.

    Args:
        runs: As one of `histories`.
        metric: Of `stats.METRICS`.
        title: A setting; None for all that both have in common.
        margin: The smallest change that counts, as a share.
        spreads: As `history`.
    """
    known = [(run, values) for run in runs if (values := _by_title(run, metric, title))]
    if len(known) < 3:
        return None
    return _change(known[0], known[-1], metric, margin, together(1), spreads)


def _told_apart(labels: pd.Series) -> pd.Series:
    """Labels of which no two are alike, by their number where they would be."""
    again = labels.groupby(labels).cumcount()
    return labels.where(again == 0, labels + " #" + (again + 1).astype(str))


def _by_title(run: MeasuredRun, metric: str, title: str | None) -> dict[int, np.ndarray]:
    """The latencies of each setting that is asked for, by its number; settings that do not know it are left out."""
    samples = stats.add_derived(run.samples)
    if metric not in samples:
        return {}
    settings = run.settings if title is None else run.settings[run.settings["title"] == title]
    found = {}
    for number, group in samples[samples["setting"].isin(settings["setting"])].groupby("setting"):
        values = group[metric].to_numpy(dtype=float)
        values = values[~np.isnan(values)]
        if values.size and np.median(values) > 0:
            found[int(str(number))] = values
    return found


Known = tuple["MeasuredRun", dict[int, np.ndarray]]


def _pairs(before: Known, after: Known) -> list[tuple[np.ndarray, np.ndarray]]:
    """The latencies of the settings that both runs have.

    Of one history, titles that are each one setting's alone say which are the same; else all that is known of them
    does, which takes many times as long.
    """
    titles = [dict(zip(run.settings["setting"], run.settings["title"], strict=True)) for run, _ in (before, after)]
    if all(len(set(each.values())) == len(each) for each in titles):
        numbers = {title: number for number, title in titles[1].items()}
        matched = [(one, numbers[title]) for one, title in titles[0].items() if title in numbers]
    else:
        matched = [(one, two) for one, two, _ in match_settings(before[0], after[0]).pairs]
    return [(before[1][one], after[1][two]) for one, two in matched if one in before[1] and two in after[1]]


def _change(
    before: Known, after: Known, metric: str, margin: float, confidence: float, spreads: Spreads | None
) -> Change:
    """A run against the one before it, at a confidence."""
    found = log_ratio(_pairs(before, after), confidence)
    if not found.number:
        return Change(np.nan, np.nan, np.nan, "undecided")
    ends = (found.low, found.high) if found.fewest >= SMALLEST_FOR_RATIO else (np.nan, np.nan)
    low, high = (np.exp(end) if np.isfinite(end) else np.nan for end in ends)
    ratio = stats.Ratio(float(np.exp(found.value)), float(low), float(high), found.number)
    first, second = (spreads_for(run, spreads).get(metric) for run in (before[0], after[0]))
    if first and second:
        ratio = with_spread(ratio, first, second, confidence)
    return Change(ratio.value, ratio.low, ratio.high, verdict(ratio, margin))


def _shown(values: dict[int, np.ndarray], title: str) -> tuple[float, float, float]:
    """A setting's median with its interval; where two settings have its title, that of the first."""
    found = stats.median_interval(next(iter(values.values())))
    return found.value, found.low, found.high


def _times(first: Known, run: Known) -> tuple[float, float, float]:
    """How many times the first run's latency over all settings, with its 95 % interval; 1 of itself, by definition."""
    if first[0] is run[0]:
        return 1.0, np.nan, np.nan
    found = stats.pooled_ratio(_pairs(first, run))
    return found.value, found.low, found.high
