"""What to know before quoting a figure: few samples, wide spread, outliers, a card held back or shared, drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from profcore.spec.text import are, counted
from profcore.stats.flags import FLAGS, flag_sentences, with_flags
from profcore.stats.summary import SMALLEST_FOR_MEDIAN, label_outliers
from profcore.stats.trend import SMALLEST_FOR_TREND, has_trend

_WIDE_IQR = 0.10
_SMALLEST_DRIFT = 0.005


@dataclass(frozen=True)
class Caution:
    """Something a reader of the figures should know, as a sentence."""

    kind: str
    text: str


def cautions(samples: pd.DataFrame, summary: pd.DataFrame) -> list[Caution]:
    """What to know before quoting figures from these samples and their summary.

    Args:
        samples: With `outlier` and the flags of `with_flags` where these were told already.
        summary: As `summarise`, with the floors of `floors.add_floors` where there are any.
    """
    found: list[Caution] = []
    if samples.empty:
        return found
    totals = samples[["setting", "total_ms"]].dropna()
    groups = [group.to_numpy(dtype=float) for _, group in totals.groupby("setting")["total_ms"]]
    if not groups:
        return found
    fewest = min(group.size for group in groups)
    if fewest < SMALLEST_FOR_MEDIAN:
        needs = f"an interval of the median needs {SMALLEST_FOR_MEDIAN}"
        found.append(Caution("few", f"The setting measured least has {counted(fewest, 'sample')}: {needs}."))
    wide = sum(
        np.subtract(*np.percentile(group, [75, 25])) > _WIDE_IQR * np.median(group)
        for group in groups
        if group.size >= SMALLEST_FOR_MEDIAN
    )
    if wide:
        of_all = f"{wide} of {counted(len(groups), 'setting')} {'varies' if wide == 1 else 'vary'}"
        text = f"{of_all} widely: the middle half of the totals spans more than 10 % of the median."
        found.append(Caution("spread", text))
    outliers = int((samples["outlier"] if "outlier" in samples else label_outliers(samples)).sum())
    if outliers:
        of_all = f"{outliers:,} of {counted(len(totals), 'sample')}"
        far = f"{are(outliers)} {'an outlier' if outliers == 1 else 'outliers'}"
        found.append(Caution("outliers", f"{of_all} {far} (far out of its setting's totals)."))
    flagged = samples if set(FLAGS) <= set(samples.columns) else with_flags(samples)
    found += [Caution("flags", sentence) for sentence in flag_sentences(flagged)]
    if "over_floor" in summary and (below := int((summary["over_floor"] < 1).sum())):
        found.append(
            Caution(
                "floor",
                f"{below} medians lie below their physical floor, which cannot be: the floor or the clock is wrong.",
            )
        )
    if (drift := _drift(samples)) is not None:
        way = "slower" if drift > 0 else "faster"
        found.append(
            Caution("drift", f"The machine got {way} during the run (rank correlation with time {drift:+.2f}).")
        )
    return found


def _drift(samples: pd.DataFrame) -> float | None:
    """Rank correlation of time with each total relative to its setting's median, where there is a trend in time."""
    if "elapsed_s" not in samples:
        return None
    known = samples[["setting", "elapsed_s", "total_ms"]].dropna().sort_values("elapsed_s", kind="stable")
    if len(known) < SMALLEST_FOR_TREND:
        return None
    by_time = known["total_ms"] / known.groupby("setting")["total_ms"].transform("median")
    # Where samples hardly vary, a drift can be sure and still too small to matter.
    third = len(known) // 3
    change = by_time.tail(third).median() - by_time.head(third).median()
    if not abs(change) > _SMALLEST_DRIFT or not has_trend(by_time.to_numpy(dtype=float)):
        return None
    return float(np.corrcoef(by_time.rank(), known["elapsed_s"].rank())[0, 1])
