"""From samples to a summary with intervals and warnings. Pure: derived from raw samples each time, never stored.

The median with its distribution-free interval is what pages and charts show: latencies are skewed and have
outliers, which pull a mean and its standard deviation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from profcore.spec.stages import Stage
from profcore.stats.student import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Callable

SMALLEST_FOR_MEDIAN = 6
"""Samples that a median needs to have a 95 % interval: among fewer, they lie all on one side of it too often."""

SMALLEST_FOR_P95 = 20
SMALLEST_FOR_P99 = 100
_FAR_OUT_IQRS = 3.0

PREPROCESSING, END_TO_END = "host_preprocessing_ms", "end_to_end_ms"
"""What stands beside the stages: the host's work before an inference, and the total with it."""

READING = "picture_reading_ms"
"""What stands before all of it: the host's reading and decoding of the picture's file, which is in neither."""

STAGE_COLUMNS = tuple(stage.column for stage in Stage)
METRIC_LABELS = {stage.column: stage.label for stage in Stage} | {
    "total_ms": "Total",
    "ttft_ms": "TTFT",
    "tpot_ms": "TPOT",
    PREPROCESSING: "Host preprocessing",
    END_TO_END: "End to end",
    READING: "Reading the picture",
}
METRICS = (*STAGE_COLUMNS, "total_ms", "ttft_ms", "tpot_ms", PREPROCESSING, END_TO_END, READING)
"""Columns of milliseconds that a summary describes."""


@lru_cache(maxsize=4096)
def median_ranks(n: int, confidence: float = CONFIDENCE) -> tuple[int, int] | None:
    """Ranks (from 0) of the order statistics that enclose the median with at least this confidence.

    None where no pair does: of 95 % below `SMALLEST_FOR_MEDIAN` samples. It assumes samples drawn alike and
    independently of each other, of whatever distribution.

    Source: exact binomial interval, Hahn & Meeker, Statistical Intervals (1991), section 5.2; from 1,000 samples on
    the normal approximation, rounded outwards.
    """
    if n >= 1000:
        z = 1.959964 if confidence == CONFIDENCE else NormalDist().inv_cdf((1 + confidence) / 2)
        low = math.floor((n - z * math.sqrt(n)) / 2) - 1
        return low, n - 1 - low
    tail, total, low = 0, 2**n, -1
    for rank in range(n):
        tail += math.comb(n, rank)
        if tail * 2 > (1 - confidence) * total:
            break
        low = rank
    return None if low < 0 else (low, n - 1 - low)


def add_derived(samples: pd.DataFrame) -> pd.DataFrame:
    """The samples with `ttft_ms` (vision encoder, projector, prefill) and `tpot_ms` (decode per decode step).

    Where the host's preprocessing is known, they have `end_to_end_ms` too, the total with it.

    Files of the published scripts may lack a projector and still say what both vision stages took together, or say
    the time to the first token alone.
    """
    vision = samples["vision_encoder_ms"] + samples["projector_ms"]
    if "vision_total_ms" in samples:
        vision = vision.fillna(samples["vision_total_ms"])
    if PREPROCESSING in samples:
        before = pd.to_numeric(samples[PREPROCESSING])
        samples = samples.assign(**{PREPROCESSING: before, END_TO_END: before + samples["total_ms"]})
    if READING in samples:
        samples = samples.assign(**{READING: pd.to_numeric(samples[READING])})
    steps = (samples["num_output_tokens"] - 1).where(samples["num_output_tokens"] > 1)
    first_token = vision + samples["llm_prefill_ms"]
    if "first_token_ms" in samples:
        first_token = first_token.fillna(pd.to_numeric(samples["first_token_ms"]))
    return samples.assign(
        ttft_ms=first_token,
        tpot_ms=samples["llm_decode_ms"] / steps,
    )


def summarise(samples: pd.DataFrame, interval: Callable[[np.ndarray], Median] | None = None) -> pd.DataFrame:
    """A row for each setting and metric.

    Args:
        samples: Columns `setting`, `num_output_tokens` and the stages' milliseconds; missing values are left out,
            and so are latencies without a column.
        interval: Gives a median with its interval from values in their order in time; `median_interval` unless given.

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
            values = values[~np.isnan(values)]
            if values.size:
                middle = (interval or median_interval)(values)
                rows.append({"setting": setting, "metric": metric, **_describe(np.sort(values), middle)})
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


def _describe(values: np.ndarray, middle: Median) -> dict[str, float]:
    """Statistics of a sorted array, whose median is known."""
    n = values.size
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
        "outliers": int(_far_out(values, np.zeros(n, dtype=int)).sum()),
    }


def percentile(ordered: np.ndarray, share: float) -> float:
    """A percentile of a sorted array, between neighbours by linear interpolation.

    As `numpy.percentile`, whose checks and copies cost more than the figure when there are hundreds of small groups.
    """
    place = (ordered.size - 1) * share / 100
    below = int(place)
    above = min(below + 1, ordered.size - 1)
    return float(ordered[below] + (ordered[above] - ordered[below]) * (place - below))


def label_outliers(samples: pd.DataFrame) -> pd.Series:
    """For each sample, whether its total is far out of its setting's; labelled, never dropped."""
    totals = samples["total_ms"].to_numpy(dtype=float, na_value=np.nan)
    known = np.flatnonzero(~np.isnan(totals))
    _, groups = np.unique(samples["setting"].to_numpy()[known], return_inverse=True)
    labels = np.zeros(totals.size, dtype=bool)
    labels[known] = _far_out(totals[known], groups)
    return pd.Series(labels, index=samples.index)


def _far_out(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Which values lie more than three interquartile ranges outside their group's quartiles (Tukey's 'far out').

    A group of fewer than six has none. All are looked at in one pass: one by one takes longer than all else that a
    page's table needs.

    Args:
        values: All groups'; [n].
        groups: Which group each is of, counted from 0 without a gap; [n].
    """
    counts = np.bincount(groups)
    ordered, begins = values[np.lexsort((values, groups))], np.cumsum(counts) - counts
    first, third = (_percentiles(ordered, begins, counts, share) for share in (25, 75))
    reach = np.where(counts < SMALLEST_FOR_MEDIAN, np.inf, _FAR_OUT_IQRS * (third - first))
    return (values < (first - reach)[groups]) | (values > (third + reach)[groups])


def _percentiles(ordered: np.ndarray, begins: np.ndarray, counts: np.ndarray, share: float) -> np.ndarray:
    """A percentile of each group of an array, by linear interpolation.

    Args:
        ordered: The groups' values one group after the other, each group's sorted; [n].
        begins: Where each group begins; [groups].
        counts: How many values each has, at least one; [groups].
        share: The percentile in percent.
    """
    places = (counts - 1) * share / 100
    below = places.astype(int)
    above = np.minimum(below + 1, counts - 1)
    low, high = ordered[begins + below], ordered[begins + above]
    return low + (high - low) * (places - below)
