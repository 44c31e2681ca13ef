"""Sums of weighted medians with their intervals: slopes of a sweep, and ratios of runs.

Each median has its exact interval (`median_ranks`). How far those reach to either side is added up in squares, each
side by itself, so that a skewed latency keeps its lopsided interval (MOVER: Zou & Donner 2008, Donner & Zou 2012).
Nothing is drawn at random, and no median is taken for normal. Simulated for lognormal, exponential, Pareto and
two-peaked latencies and for such with outliers, the intervals hold the truth in 96 % to 99 % from 5 samples on, but
in 91 % to 94 % with 4.

An interval assumes that samples of a setting are drawn alike. Where neighbours in time correlate, or the settings of
a round do, it is widened by what the samples show (`stats.reaches.serial_factor`); below 20 samples that cannot be
told. A latency that is one of two far apart, each half the time, has no median to speak of, and its interval may fall
short.

A coarse clock gives samples that are equal, and medians without any reach to a side. The ends are therefore rounded
outwards by what a sum of doubles may be off (`stats.reaches.rounding`): else the last bit, which is another on another
processor, would decide whether such an interval holds the truth (it did in 92 % of 20,000 sweeps of 4 settings and 30
samples, and does in 99.8 %).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from profcore.stats.estimates import Ratio, Slope
from profcore.stats.log_ratios import log_ratio
from profcore.stats.reaches import reach, rounding, squares_of
from profcore.stats.student import cautious_critical, critical
from profcore.stats.summary import SMALLEST_FOR_MEDIAN

if TYPE_CHECKING:
    from collections.abc import Sequence

SMALLEST_FOR_SLOPE = 5
"""Samples that the slope of a sweep needs at each of its settings to have an interval."""

SMALLEST_FOR_RATIO = 5
"""Samples that a ratio of medians needs on either side to have an interval."""

SMALLEST_FOR_POOLED_RATIO = 6
"""Settings that give a pooled ratio its interval where some have fewer samples than their own ratio needs."""

SMALLEST_FOR_RATIO_AT_EQUAL_X = SMALLEST_FOR_MEDIAN
"""Pictures that a ratio at equal x needs to have an interval; of the reference it needs what a slope does."""


def slope(x: np.ndarray, y: np.ndarray) -> Slope:
    """Slope of the least-squares line through the medians of `y` at each `x`.

    The interval says how well the slope of this line is known, not whether a line fits. It needs
    `SMALLEST_FOR_SLOPE` samples at each `x`.

    Shapes:
        x, y: (samples,), in their order in time; missing values of `y` are left out.
    """
    known = ~np.isnan(y)
    places, groups = _by_place(x[known], y[known])
    if places.size < 2:
        return Slope(math.nan, math.nan, math.nan)
    centred = places - places.mean()
    # Least squares: the medians weighted by their place, over the places' squares.
    weights = centred / (centred**2).sum()
    medians = [reach(group) for group in groups]
    middles = np.array([each.median for each in medians])
    value, through = float(weights @ middles), (float(places.mean()), float(middles.mean()))
    if min(group.size for group in groups) < SMALLEST_FOR_SLOPE:
        return Slope(value, math.nan, math.nan, through)
    down, up = squares_of(weights, medians)
    off = rounding(weights * middles)
    return Slope(value, value - math.sqrt(down) - off, value + math.sqrt(up) + off, through)


def _by_place(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """The distinct places, and the values at each in the order that they came in."""
    order = np.argsort(x, kind="stable")
    places, starts = np.unique(x[order], return_index=True)
    return places.astype(float), np.split(y[order].astype(float), starts[1:]) if places.size else []


def ratio_of_medians(before: np.ndarray, after: np.ndarray) -> Ratio:
    """Median of `after` over median of `before`; its interval needs `SMALLEST_FOR_RATIO` samples of each.

    Shapes:
        before, after: (samples,) each, in their order in time; missing values are left out.
    """
    return pooled_ratio([(before, after)])


def pooled_ratio(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Ratio:
    """The geometric mean over settings of the ratio of medians, after over before.

    The interval says how well these two runs are told apart, not how much another pair of runs would differ. Where a
    setting has fewer than `SMALLEST_FOR_RATIO` samples, the settings' ratios themselves say how well their mean is
    known (Student's t of their logarithms), from `SMALLEST_FOR_POOLED_RATIO` settings on.

    Shapes:
        pairs: For each setting (before, after), (samples,) each, in their order in time; settings without a positive
            median are left out.
    """
    found = log_ratio(pairs)
    value, number = found.value, found.number
    if not number:
        return Ratio(math.nan, math.nan, math.nan, 0)
    if found.fewest >= SMALLEST_FOR_RATIO:
        low, high = found.low, found.high
    elif number >= SMALLEST_FOR_POOLED_RATIO:
        far = cautious_critical(number - 1) * found.spread / math.sqrt(number)
        low, high = value - far, value + far
    else:
        low = high = math.nan
    # A latency of 0 among the samples that bound a median leaves its ratio without a bound.
    if not (math.isfinite(low) and math.isfinite(high)):
        return Ratio(math.exp(value), math.nan, math.nan, number)
    return Ratio(math.exp(value), math.exp(low), math.exp(high), number)


def ratio_at_equal_x(
    reference_x: np.ndarray,
    reference_y: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    clusters: np.ndarray | None = None,
) -> Ratio:
    """How much higher points lie than a reference at the same x: the median of y over the reference there.

    The reference is the line from median to median of its samples; points outside of its range are left out. The
    interval takes pictures for drawn at random, each with all its points (Woodruff 1952, with the spread of whole
    pictures), and adds what the reference's medians are not known by.

    Shapes:
        reference_x, reference_y: (samples,), in their order in time. x, y, clusters: (points,).
    """
    known = ~np.isnan(reference_y)
    places, groups = _by_place(reference_x[known], reference_y[known])
    if not places.size:
        return Ratio(math.nan, math.nan, math.nan, 0)
    inside = ~(np.isnan(x) | np.isnan(y)) & (x >= places[0]) & (x <= places[-1])
    x, y = x[inside].astype(float), y[inside].astype(float)
    if not x.size:
        return Ratio(math.nan, math.nan, math.nan, 0)
    reference = [reach(group) for group in groups]
    line = np.interp(x, places, [each.median for each in reference])
    ratios = y / line
    value = float(np.median(ratios))
    codes = np.arange(x.size) if clusters is None else np.unique(clusters[inside], return_inverse=True)[1]
    shares = _shares(x, places, 1 / line)
    # Only the places next to a point bear on its ratio.
    used = shares > 0
    fewest = min(group.size for group, uses in zip(groups, used, strict=True) if uses)
    if codes.max() + 1 < SMALLEST_FOR_RATIO_AT_EQUAL_X or fewest < SMALLEST_FOR_SLOPE or not np.isfinite(ratios).all():
        return Ratio(value, math.nan, math.nan, int(x.size))
    low, high = _clustered_median(ratios, codes)
    down, up = squares_of(
        -value * shares[used] / x.size, [each for each, uses in zip(reference, used, strict=True) if uses]
    )
    off = rounding(np.full(4, value))
    low, high = value - math.hypot(value - low, math.sqrt(down)), value + math.hypot(high - value, math.sqrt(up))
    return Ratio(value, low - off, high + off, int(x.size))


def _shares(x: np.ndarray, places: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """How much of each place is in the line from place to place at some weighted x, summed, (places,)."""
    above = np.searchsorted(places, x)
    below = np.maximum(above - 1, 0)
    span = places[above] - places[below]
    share = np.divide(x - places[below], span, out=np.ones_like(x), where=span > 0)
    lower = np.bincount(below, (1 - share) * weights, places.size)
    return lower + np.bincount(above, share * weights, places.size)


def _clustered_median(values: np.ndarray, codes: np.ndarray) -> tuple[float, float]:
    """The interval of the median of values that come in clusters, at least as wide as if they came alone."""
    n = values.size
    ordered = np.sort(values)
    sums = np.bincount(codes, weights=np.sign(values - np.median(ordered)))
    number = sums.size
    spread = math.sqrt(max(float(sums @ sums), n) * number / (number - 1)) / 2
    rank = max(math.floor(n / 2 - critical(number - 1) * spread), 0)
    return float(ordered[rank]), float(ordered[n - 1 - rank])
