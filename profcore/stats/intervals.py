"""Slopes, correlations and ratios with their intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


_RESAMPLES = 1000
_MANY_CLUSTERS = 1000
_MOST_DRAWN = 4_000_000
_SXX, _SXY = 3, 4


@dataclass(frozen=True)
class Slope:
    """A line's slope with its 95 % interval; NaN where the samples do not give one.

    Attributes:
        through: A point (x, y) that the line goes through.
    """

    value: float
    low: float
    high: float
    through: tuple[float, float] = (math.nan, math.nan)

    def at(self, x: float) -> float:
        """The line's height at some x."""
        return self.through[1] + self.value * (x - self.through[0])


def slope(x: np.ndarray, y: np.ndarray, seed: int = 0) -> Slope:
    """Slope of the least-squares line through the medians of `y` at each `x`.

    The interval is a percentile bootstrap that draws samples anew within each `x` (Efron & Tibshirani 1993, chapter
    13): it says how well the slope of this line is known, not whether a line fits. It needs 3 samples at each `x`.

    Shapes:
        x, y: (samples,); missing values of `y` are left out.
    """
    known = ~np.isnan(y)
    x, y = x[known], y[known]
    places = np.unique(x)
    if places.size < 2:
        return Slope(math.nan, math.nan, math.nan)
    groups = [y[x == place] for place in places]
    centred = places - places.mean()
    # Least squares: the medians weighted by their place, over the places' squares.
    weights = centred / (centred**2).sum()
    medians = np.array([np.median(group) for group in groups])
    value, through = float(weights @ medians), (float(places.mean()), float(medians.mean()))
    if min(group.size for group in groups) < 3:
        return Slope(value, math.nan, math.nan, through)
    generator = np.random.default_rng(seed)
    drawn = np.stack([_drawn_medians(group, _RESAMPLES, generator) for group in groups])
    low, high = np.percentile(weights @ drawn, [2.5, 97.5])
    return Slope(value, float(low), float(high), through)


def _drawn_medians(values: np.ndarray, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """The medians of samples drawn anew from some values, without drawing all of each.

    The middle one of n draws is the value at n times the middle of n uniform numbers, whose distribution is Beta's
    (David & Nagaraja 2003, section 2.3); for even n the second middle one follows from the first.

    Shapes:
        values: (n,). Returns (resamples,).
    """
    ordered, n = np.sort(values), values.size
    middle = (n + 1) // 2
    first = generator.beta(middle, n - middle + 1, resamples)
    places = np.minimum((first * n).astype(int), n - 1)
    if n % 2:
        return ordered[places]
    second = first + (1 - first) * generator.beta(1, n - middle, resamples)
    return (ordered[places] + ordered[np.minimum((second * n).astype(int), n - 1)]) / 2


def points_slope(x: np.ndarray, y: np.ndarray, clusters: np.ndarray | None = None, seed: int = 0) -> Slope:
    """Slope of the least-squares line through points, each of another picture or of a few pictures again and again.

    The interval draws pictures anew, each with all its points (cluster bootstrap, Davison & Hinkley 1997, section
    3.8); from 1,000 pictures on it is the cluster-robust normal one (Liang & Zeger 1986). It needs 3 pictures.

    Shapes:
        x, y: (points,); points with a missing value are left out.
        clusters: (points,), what the picture is called; each point is its own unless given.
    """
    fitted = _fit(x, y, clusters)
    if fitted is None:
        return Slope(math.nan, math.nan, math.nan)
    sums, through = fitted
    value = float(_slopes(sums.sum(axis=0)))
    if len(sums) < 3:
        return Slope(value, math.nan, math.nan, through)
    if len(sums) >= _MANY_CLUSTERS:
        spread = sums[:, _SXX].sum()
        scores = sums[:, _SXY] - value * sums[:, _SXX]
        reach = 1.959964 * math.sqrt(float((scores**2).sum())) / spread
        return Slope(value, value - reach, value + reach, through)
    drawn = _slopes(_redraw(sums, seed))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Slope(value, float(low), float(high), through)


@dataclass(frozen=True)
class Correlation:
    """Pearson's r with its 95 % interval, and r squared, the share of variance that a line explains."""

    r: float
    low: float
    high: float
    r_squared: float
    n: int


def correlation(x: np.ndarray, y: np.ndarray, clusters: np.ndarray | None = None, seed: int = 0) -> Correlation:
    """How closely two quantities follow one line; interval and arguments as `points_slope`."""
    fitted = _fit(x, y, clusters)
    n = int((~(np.isnan(x) | np.isnan(y))).sum())
    if fitted is None:
        return Correlation(math.nan, math.nan, math.nan, math.nan, n)
    sums, _ = fitted
    r = float(_correlations(sums.sum(axis=0)))
    if len(sums) < 3:
        return Correlation(r, math.nan, math.nan, r**2, n)
    if len(sums) >= _MANY_CLUSTERS:
        # Fisher's transformation, with pictures for observations.
        centre, reach = math.atanh(min(max(r, -0.999999), 0.999999)), 1.959964 / math.sqrt(len(sums) - 3)
        return Correlation(r, math.tanh(centre - reach), math.tanh(centre + reach), r**2, n)
    drawn = _correlations(_redraw(sums, seed))
    known = drawn[~np.isnan(drawn)]
    low, high = np.percentile(known, [2.5, 97.5]) if known.size else (math.nan, math.nan)
    return Correlation(r, float(low), float(high), r**2, n)


def _fit(x: np.ndarray, y: np.ndarray, clusters: np.ndarray | None) -> tuple[np.ndarray, tuple[float, float]] | None:
    """Sums of each cluster that a line follows from, around the points' middle; None where there is no line.

    Shapes:
        Returns (clusters, 6): the number of points, and the sums of x, y, x², xy and y².
    """
    known = ~(np.isnan(x) | np.isnan(y))
    x, y = x[known].astype(float), y[known].astype(float)
    if x.size < 2 or np.ptp(x) == 0:
        return None
    through = float(x.mean()), float(y.mean())
    x, y = x - through[0], y - through[1]
    codes = np.arange(x.size) if clusters is None else np.unique(clusters[known], return_inverse=True)[1]
    terms = (np.ones_like(x), x, y, x * x, x * y, y * y)
    return np.stack([np.bincount(codes, weights=term) for term in terms], axis=1), through


def _redraw(sums: np.ndarray, seed: int) -> np.ndarray:
    """The sums of clusters drawn anew, (resamples, 6)."""
    number = len(sums)
    return np.random.default_rng(seed).multinomial(number, np.full(number, 1 / number), _RESAMPLES) @ sums


def _slopes(sums: np.ndarray) -> np.ndarray:
    n, x, y, xx, xy, _ = np.moveaxis(sums, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (n * xy - x * y) / (n * xx - x * x)


def _correlations(sums: np.ndarray) -> np.ndarray:
    n, x, y, xx, xy, yy = np.moveaxis(sums, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))


@dataclass(frozen=True)
class Ratio:
    """A ratio with its 95 % interval; NaN where the samples do not give one.

    Attributes:
        n: How many points or settings it rests on.
    """

    value: float
    low: float
    high: float
    n: int


def ratio_of_medians(before: np.ndarray, after: np.ndarray, seed: int = 0) -> Ratio:
    """Median of `after` over median of `before`, with the percentile bootstrap's interval; it needs 3 samples of each.

    Shapes:
        before, after: (samples,) each; missing values are left out.
    """
    return pooled_ratio([(before, after)], seed)


def pooled_ratio(pairs: Sequence[tuple[np.ndarray, np.ndarray]], seed: int = 0) -> Ratio:
    """The geometric mean over settings of the ratio of medians, after over before.

    The interval is a percentile bootstrap that draws samples anew within each setting of both runs, each setting's
    draws its own. It says how well these two runs are told apart, not how much another pair of runs would differ.

    Shapes:
        pairs: For each setting (before, after), (samples,) each; settings without a positive median are left out.
    """
    known = [tuple(values[~np.isnan(values)].astype(float) for values in pair) for pair in pairs]
    known = [pair for pair in known if all(values.size and np.median(values) > 0 for values in pair)]
    if not known:
        return Ratio(math.nan, math.nan, math.nan, 0)
    value = math.exp(float(np.mean([math.log(np.median(after) / np.median(before)) for before, after in known])))
    if min(values.size for pair in known for values in pair) < 3:
        return Ratio(value, math.nan, math.nan, len(known))
    generator = np.random.default_rng(seed)

    def drawn(values: np.ndarray) -> np.ndarray:
        return np.log(_drawn_medians(values, _RESAMPLES, generator))

    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.mean([drawn(after) - drawn(before) for before, after in known], axis=0)
    means = means[np.isfinite(means)]
    low, high = np.exp(np.percentile(means, [2.5, 97.5])) if means.size else (math.nan, math.nan)
    return Ratio(value, float(low), float(high), len(known))


def ratio_at_equal_x(
    reference_x: np.ndarray,
    reference_y: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    clusters: np.ndarray | None = None,
    seed: int = 0,
) -> Ratio:
    """How much higher points lie than a reference at the same x: the median of y over the reference there.

    The reference is the line from median to median of its samples; points outside of its range are left out. The
    interval redraws the reference's samples within each x, and pictures with all their points.

    Shapes:
        reference_x, reference_y: (samples,). x, y, clusters: (points,).
    """
    known = ~np.isnan(reference_y)
    reference_x, reference_y = reference_x[known].astype(float), reference_y[known].astype(float)
    places = np.unique(reference_x)
    if not places.size:
        return Ratio(math.nan, math.nan, math.nan, 0)
    groups = [reference_y[reference_x == place] for place in places]
    inside = ~(np.isnan(x) | np.isnan(y)) & (x >= places[0]) & (x <= places[-1])
    x, y = x[inside].astype(float), y[inside].astype(float)
    if not x.size:
        return Ratio(math.nan, math.nan, math.nan, 0)
    value = float(np.median(y / np.interp(x, places, [np.median(group) for group in groups])))
    codes = np.arange(x.size) if clusters is None else np.unique(clusters[inside], return_inverse=True)[1]
    number = int(codes.max()) + 1
    if number < 3 or min(group.size for group in groups) < 3:
        return Ratio(value, math.nan, math.nan, int(x.size))
    resamples = int(np.clip(_MOST_DRAWN / x.size, 100, _RESAMPLES))
    generator = np.random.default_rng(seed)
    lines = np.stack([_drawn_medians(group, resamples, generator) for group in groups], axis=1)
    # Interpolation is linear in the medians: a share of the one below and the rest of the one above.
    above = np.searchsorted(places, x)
    below = np.maximum(above - 1, 0)
    span = places[above] - places[below]
    share = np.divide(x - places[below], span, out=np.zeros_like(x), where=span > 0)
    ratios = y / (lines[:, below] * (1 - share) + lines[:, above] * share)
    counts = generator.multinomial(number, np.full(number, 1 / number), resamples)[:, codes]
    low, high = np.percentile(_weighted_medians(ratios, counts), [2.5, 97.5])
    return Ratio(value, float(low), float(high), int(x.size))


def _weighted_medians(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """For each row the median of its values, each taken as often as its count says.

    Shapes:
        values, counts: (rows, values). Returns (rows,).
    """
    order = np.argsort(values, axis=1)
    values, counts = np.take_along_axis(values, order, axis=1), np.take_along_axis(counts, order, axis=1)
    upto = counts.cumsum(axis=1)
    total = upto[:, -1:]
    # The two middle ones, which are one where their number is odd.
    first, second = ((upto < middle).sum(axis=1) for middle in ((total + 1) // 2, total // 2 + 1))
    rows = np.arange(len(values))
    return (values[rows, first] + values[rows, second]) / 2
