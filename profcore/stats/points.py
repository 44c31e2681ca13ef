"""Lines through points, each of another picture or of a few pictures again and again.

The intervals leave out one picture at a time, with all its points (cluster jackknife, Hansen 2025), and take Student's
t with the degrees of freedom that the points support: few where few pictures lie far out and so decide the slope, or
where few of them make up its spread. Where the line is undefined without one of the pictures, so is the interval.

They assume that pictures are drawn independently of each other. Simulated for normal and lognormal spread around the
line, of one size everywhere or in proportion to the latency, from the smallest number on, they hold the truth in at
least 95 %. Outliers that count for much and are so rare that the pictures at hand have few of them or none are beyond
any interval: where one picture in twenty takes half as long again, a slope's holds the truth in about 90 %, and that
of r needs some 60 pictures.
"""

from __future__ import annotations

import math

import numpy as np

from profcore.stats.estimates import Correlation, Slope
from profcore.stats.student import cautious_critical

SMALLEST_FOR_POINTS_SLOPE = 4
"""Pictures that a slope through them needs to have an interval."""

SMALLEST_FOR_CORRELATION = 6
"""Pictures that a correlation over them needs to have an interval."""

_NO_SPREAD = 1e-9
_NEAREST_TO_ONE = 1 - 1e-12


def points_slope(x: np.ndarray, y: np.ndarray, clusters: np.ndarray | None = None) -> Slope:
    """Slope of the least-squares line through points; its interval needs `SMALLEST_FOR_POINTS_SLOPE` pictures.

    Shapes:
        x, y: (points,); points with a missing value are left out.
        clusters: (points,), what the picture is called; each point is its own unless given.
    """
    fitted = _fit(x, y, clusters)
    if fitted is None:
        return Slope(math.nan, math.nan, math.nan)
    sums, through = fitted
    total = sums.sum(axis=1, keepdims=True)
    value = float(_slopes(total)[0])
    reach = _reach(sums, _slopes(total - sums) - value) if sums.shape[1] >= SMALLEST_FOR_POINTS_SLOPE else math.nan
    return Slope(value, value - reach, value + reach, through)


def correlation(x: np.ndarray, y: np.ndarray, clusters: np.ndarray | None = None) -> Correlation:
    """How closely two quantities follow one line; arguments as `points_slope`.

    The interval is that of Fisher's transform of r, and needs `SMALLEST_FOR_CORRELATION` pictures.
    """
    fitted = _fit(x, y, clusters)
    n = int((~(np.isnan(x) | np.isnan(y))).sum())
    if fitted is None:
        return Correlation(math.nan, math.nan, math.nan, math.nan, n)
    sums, _ = fitted
    total = sums.sum(axis=1, keepdims=True)
    r = float(_correlations(total)[0])
    if sums.shape[1] < SMALLEST_FOR_CORRELATION:
        return Correlation(r, math.nan, math.nan, r**2, n)
    centre = float(_fishers(np.array(r)))
    reach = _reach(sums, _fishers(_correlations(total - sums)) - centre)
    return Correlation(r, math.tanh(centre - reach), math.tanh(centre + reach), r**2, n)


def _fit(x: np.ndarray, y: np.ndarray, clusters: np.ndarray | None) -> tuple[np.ndarray, tuple[float, float]] | None:
    """Sums of each cluster that a line follows from, around the points' middle; None where there is no line.

    Shapes:
        Returns (6, clusters): the number of points, and the sums of x, y, x², xy and y².
    """
    known = ~(np.isnan(x) | np.isnan(y))
    x, y = x[known].astype(float), y[known].astype(float)
    if x.size < 2 or np.ptp(x) == 0:
        return None
    through = float(x.mean()), float(y.mean())
    x, y = x - through[0], y - through[1]
    codes = np.arange(x.size) if clusters is None else np.unique(clusters[known], return_inverse=True)[1]
    terms = (np.ones_like(x), x, y, x * x, x * y, y * y)
    return np.stack([np.bincount(codes, weights=term) for term in terms]), through


def _reach(sums: np.ndarray, moved: np.ndarray) -> float:
    """How far the interval reaches to either side; NaN where the figure is undefined without one of the clusters.

    Args:
        sums: As `_fit`.
        moved: How the figure moves as each cluster is left out.
    """
    number, total = sums.shape[1], sums.sum(axis=1, keepdims=True)
    spread, without = float(_spreads(total)[0]), _spreads(total - sums)
    if not (without > _NO_SPREAD * spread).all() or not np.isfinite(moved).all():
        return math.nan
    square = float(moved @ moved)
    if not square:
        return 0.0
    # Satterthwaite's degrees of freedom: by what each cluster's place adds to the variance of the slope (as Bell &
    # McCaffrey 2002), and by the fourth moment of what they did add.
    influence = 1 / without - 1 / spread
    freedom = float(influence.sum() ** 2 / (influence @ influence))
    around = (moved - moved.mean()) ** 2
    fourth = float(around @ around / around.sum() ** 2) - 1 / number if around.any() else 0.0
    freedom = min(freedom, 2 / fourth) if fourth > 0 else freedom
    return cautious_critical(freedom) * math.sqrt(square * (number - 1) / number)


def _spreads(sums: np.ndarray) -> np.ndarray:
    """Sums of squares of x around its mean."""
    n, x, _, xx, _, _ = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        return xx - x * x / n


def _slopes(sums: np.ndarray) -> np.ndarray:
    n, x, y, xx, xy, _ = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        return (n * xy - x * y) / (n * xx - x * x)


def _correlations(sums: np.ndarray) -> np.ndarray:
    n, x, y, xx, xy, yy = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        return (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))


def _fishers(r: np.ndarray) -> np.ndarray:
    """Fisher's transform, finite also where every point lies on the line."""
    return np.arctanh(np.clip(r, -_NEAREST_TO_ONE, _NEAREST_TO_ONE))
