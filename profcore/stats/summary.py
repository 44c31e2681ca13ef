"""From samples to a summary with intervals and warnings. Pure: derived from raw samples each time, never stored.

The median with its distribution-free interval is what pages and charts show: latencies are skewed and have
outliers, which pull a mean and its standard deviation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd

from profcore.spec.stages import Stage
from profcore.stats.student import CONFIDENCE

SMALLEST_FOR_MEDIAN = 6
"""Samples that a median needs to have a 95 % interval: among fewer, they lie all on one side of it too often."""

SMALLEST_FOR_P95 = 20
SMALLEST_FOR_P99 = 100
_FAR_OUT_IQRS = 3.0

STAGE_COLUMNS = tuple(stage.column for stage in Stage)
METRIC_LABELS = {stage.column: stage.label for stage in Stage} | {
    "total_ms": "Total",
    "ttft_ms": "TTFT",
    "tpot_ms": "TPOT",
}
METRICS = (*STAGE_COLUMNS, "total_ms", "ttft_ms", "tpot_ms")
"""Columns of milliseconds that a summary describes."""


@lru_cache(maxsize=4096)
def median_ranks(n: int) -> tuple[int, int] | None:
    """Ranks (from 0) of the order statistics that enclose the median with at least 95 % confidence.

    None below `SMALLEST_FOR_MEDIAN` samples, where no pair does. It assumes samples drawn alike and independently of
    each other, of whatever distribution.

    Source: exact binomial interval, Hahn & Meeker, Statistical Intervals (1991), section 5.2; from 1,000 samples on
    the normal approximation, rounded outwards.
    """
    if n < SMALLEST_FOR_MEDIAN:
        return None
    if n >= 1000:
        low = math.floor((n - 1.959964 * math.sqrt(n)) / 2) - 1
        return low, n - 1 - low
    tail, total, low = 0, 2**n, -1
    for rank in range(n):
        tail += math.comb(n, rank)
        if tail * 2 > (1 - CONFIDENCE) * total:
            break
        low = rank
    return low, n - 1 - low


def add_derived(samples: pd.DataFrame) -> pd.DataFrame:
    """The samples with `ttft_ms` (vision encoder, projector, prefill) and `tpot_ms` (decode per decode step).

    Files of the published scripts may lack a projector and still say what both vision stages took together.
    """
    vision = samples["vision_encoder_ms"] + samples["projector_ms"]
    if "vision_total_ms" in samples:
        vision = vision.fillna(samples["vision_total_ms"])
    steps = (samples["num_output_tokens"] - 1).where(samples["num_output_tokens"] > 1)
    return samples.assign(
        ttft_ms=vision + samples["llm_prefill_ms"],
        tpot_ms=samples["llm_decode_ms"] / steps,
    )


def summarise(samples: pd.DataFrame) -> pd.DataFrame:
    """A row for each setting and metric.

    Args:
        samples: Columns `setting`, `num_output_tokens` and the stages' milliseconds; missing values are left out,
            and so are latencies without a column.

    Returns:
        Columns `setting`, `metric`, `n`, `median`, `low`, `high` (95 % interval of the median), `mean`, `std`,
        `min`, `max`, `p95`, `p99` (NaN where the samples do not support them) and `outliers`, in milliseconds.
    """
    samples = add_derived(samples)
    present = [metric for metric in METRICS if metric in samples]
    rows = []
    for setting, group in samples.groupby("setting", sort=True):
        for metric in present:
            values = group[metric].to_numpy(dtype=float)
            values = np.sort(values[~np.isnan(values)])
            if values.size:
                rows.append({"setting": setting, "metric": metric, **_describe(values)})
    columns = [
        "setting",
        "metric",
        "n",
        "median",
        "low",
        "high",
        "mean",
        "std",
        "min",
        "max",
        "p95",
        "p99",
        "outliers",
    ]
    return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True)
class Median:
    """A median with its 95 % interval (see `median_ranks`); NaN where the samples do not give one."""

    value: float
    low: float
    high: float
    n: int


def median_interval(values: np.ndarray) -> Median:
    """The median of some values, missing ones left out."""
    ordered = np.sort(values[~np.isnan(values)])
    if not ordered.size:
        return Median(math.nan, math.nan, math.nan, 0)
    ranks = median_ranks(ordered.size)
    low, high = (float(ordered[ranks[0]]), float(ordered[ranks[1]])) if ranks else (math.nan, math.nan)
    return Median(percentile(ordered, 50), low, high, int(ordered.size))


def _describe(values: np.ndarray) -> dict[str, float]:
    """Statistics of a sorted array."""
    n, middle = values.size, median_interval(values)
    return {
        "n": n,
        "median": middle.value,
        "low": middle.low,
        "high": middle.high,
        "mean": float(values.mean()),
        "std": float(values.std(ddof=1)) if n > 1 else math.nan,
        "min": float(values[0]),
        "max": float(values[-1]),
        "p95": percentile(values, 95) if n >= SMALLEST_FOR_P95 else math.nan,
        "p99": percentile(values, 99) if n >= SMALLEST_FOR_P99 else math.nan,
        "outliers": int(_far_out(values).sum()),
    }


def percentile(ordered: np.ndarray, share: float) -> float:
    """A percentile of a sorted array, between neighbours by linear interpolation.

    As `numpy.percentile`, whose checks and copies cost more than the figure when there are hundreds of small groups.
    """
    place = (ordered.size - 1) * share / 100
    below = int(place)
    above = min(below + 1, ordered.size - 1)
    return float(ordered[below] + (ordered[above] - ordered[below]) * (place - below))


def _far_out(values: np.ndarray) -> np.ndarray:
    """Which values lie more than three interquartile ranges outside the quartiles (Tukey's 'far out')."""
    if values.size < 6:
        return np.zeros(values.size, dtype=bool)
    ordered = np.sort(values)
    first, third = percentile(ordered, 25), percentile(ordered, 75)
    reach = _FAR_OUT_IQRS * (third - first)
    return (values < first - reach) | (values > third + reach)


def label_outliers(samples: pd.DataFrame) -> pd.Series:
    """For each sample, whether its total is far out of its setting's; labelled, never dropped."""
    labels = pd.Series(False, index=samples.index)
    for _, group in samples.groupby("setting"):
        totals = group["total_ms"].dropna()
        labels.loc[totals.index] = _far_out(totals.to_numpy(dtype=float))
    return labels
