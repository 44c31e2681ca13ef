"""What to know before quoting a figure: few samples, wide spread, outliers, drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

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
    """What to know before quoting figures from these samples and their summary."""
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
        found.append(Caution("few", f"The setting measured least has {fewest} samples: {needs}."))
    wide = sum(
        np.subtract(*np.percentile(group, [75, 25])) > _WIDE_IQR * np.median(group)
        for group in groups
        if group.size >= SMALLEST_FOR_MEDIAN
    )
    if wide:
        found.append(
            Caution(
                "spread",
                f"{wide} of {len(groups)} settings vary widely: the middle half of their totals spans more than 10 % "
                "of the median.",
            )
        )
    outliers = int(label_outliers(samples).sum())
    if outliers:
        found.append(
            Caution(
                "outliers",
                f"{outliers} of {len(totals)} samples are outliers (far out of their setting's totals).",
            )
        )
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
