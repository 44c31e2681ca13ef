"""What to know before quoting a figure: few samples, wide spread, outliers, drift."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from profcore.stats.summary import label_outliers

_WIDE_IQR = 0.10
_SMALLEST_DRIFT = 0.005
_DRIFT_Z = 3.29  # two-sided p = 0.001


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
    if fewest < 6:
        found.append(
            Caution("few", f"The setting measured least has {fewest} samples: an interval of the median needs 6.")
        )
    wide = sum(
        np.subtract(*np.percentile(group, [75, 25])) > _WIDE_IQR * np.median(group)
        for group in groups
        if group.size >= 6
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
    """Rank correlation of time with each total relative to its setting's median, where it is significant."""
    if "elapsed_s" not in samples:
        return None
    known = samples[["setting", "elapsed_s", "total_ms"]].dropna()
    if len(known) < 20:
        return None
    relative = known["total_ms"] / known.groupby("setting")["total_ms"].transform("median")
    ranks = relative.rank().to_numpy(), known["elapsed_s"].rank().to_numpy()
    if ranks[0].std() == 0 or ranks[1].std() == 0:
        return None
    correlation = float(np.corrcoef(*ranks)[0, 1])
    if abs(correlation) <= _DRIFT_Z / math.sqrt(len(known) - 1):
        return None
    # Where samples hardly vary, a drift can be sure and still too small to matter.
    third = len(known) // 3
    by_time = relative[known["elapsed_s"].sort_values().index]
    change = by_time.tail(third).median() - by_time.head(third).median()
    return correlation if abs(change) > _SMALLEST_DRIFT else None
