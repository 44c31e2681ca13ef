"""How far processes differ that measure the same: variance components of the logarithms of medians.

A run's interval says how well its own median is known, not how much the next process would differ: where its memory
lies, which kernels were picked and how the card woke up stay as they are for as long as a process lives. Of K
processes, each with the median m of n samples at a setting,

    var(log m) = between² + error²,   error² = within² / n,

where error is the standard error of a median from its exact interval (McKean & Schrader 1984), widened where its
samples go together in time. So between² is what var(log m) has above the mean of error². Its interval is that of a
variance with K - 1 degrees of freedom, less error² (Williams 1962); it takes processes for normal in the logarithm.
Processes that happen to differ by less than error² would have an interval of nothing at all: its upper end is then that
of processes that differ by error², which only widens it.

The mean over K processes then has the standard error sqrt((between² + within² / n) / K), and a claim of a share of it
needs Student's t of K - 1 times that to be within the share (`needed`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from profcore.stats.estimates import Ratio
from profcore.stats.reaches import SMALLEST_FOR_SERIAL, serial_factor
from profcore.stats.student import CONFIDENCE, critical, critical_of
from profcore.stats.summary import SMALLEST_FOR_MEDIAN, median_ranks, percentile

if TYPE_CHECKING:
    from collections.abc import Sequence

SMALLEST_FOR_SPREAD = 2
"""Processes that a between-run spread needs; of so few its interval is wide."""

_MOST_PROCESSES = 1000


@dataclass(frozen=True)
class Spread:
    """How far processes differ, as shares of the latency (standard deviations of logarithms).

    Attributes:
        between: Of one process from another.
        low: The lower end of its 95 % interval.
        high: The upper end.
        error: Of a process's own median, with as many samples as it had.
        within: The same of one sample: that of n samples is its n-th root's part.
        processes: How many there were.
        freedom: The degrees of freedom of `between`.
    """

    between: float
    low: float
    high: float
    error: float
    within: float
    processes: int
    freedom: int


@dataclass(frozen=True)
class _Squares:
    """Of one setting: the variance of the processes' log medians, and the mean of what each is not known by."""

    total: float
    error: float
    within: float


def spread(groups: Sequence[np.ndarray]) -> Spread | None:
    """How far processes differ at one setting; None where fewer than two have a median with an interval.

    Shapes:
        groups: For each process (samples,), in their order in time; missing values are left out.
    """
    return pooled_spread([groups])


def pooled_spread(settings: Sequence[Sequence[np.ndarray]]) -> Spread | None:
    """How far processes differ, in the mean over settings.

    What makes a process slower may do so at every setting alike, so that more settings make nothing surer: the
    degrees of freedom are those of the processes.

    Shapes:
        settings: For each as `spread`.
    """
    known = [(squares, number) for squares, number in map(_squares_of, settings) if squares]
    if not known:
        return None
    squares, processes = [each for each, _ in known], min(number for _, number in known)
    return _spread_of(
        float(np.mean([each.total for each in squares])),
        float(np.mean([each.error for each in squares])),
        float(np.mean([each.within for each in squares])),
        processes,
        processes - 1,
    )


def together(spreads: Sequence[Spread]) -> Spread | None:
    """What several series of processes say of one latency; each counts by its degrees of freedom."""
    if not spreads:
        return None
    weights = np.array([each.freedom for each in spreads], dtype=float)
    totals = np.array([each.between**2 + each.error**2 for each in spreads])
    errors, withins = (np.array([getattr(each, name) ** 2 for each in spreads]) for name in ("error", "within"))
    total, error, within = (float(np.average(values, weights=weights)) for values in (totals, errors, withins))
    return _spread_of(total, error, within, sum(each.processes for each in spreads), int(weights.sum()))


def _squares_of(groups: Sequence[np.ndarray]) -> tuple[_Squares | None, int]:
    known = [values[~np.isnan(values)].astype(float) for values in groups]
    known = [values for values in known if values.size >= SMALLEST_FOR_MEDIAN and values.min() > 0]
    if len(known) < SMALLEST_FOR_SPREAD:
        return None, len(known)
    logs = [np.log(values) for values in known]
    errors = np.array([median_error_square(values) for values in logs])
    sizes = np.array([values.size for values in logs])
    medians = np.array([percentile(np.sort(values), 50) for values in logs])
    return _Squares(float(medians.var(ddof=1)), float(errors.mean()), float((errors * sizes).mean())), len(known)


def median_error_square(values: np.ndarray) -> float:
    """The variance of a median, from its exact interval.

    Shapes:
        values: (samples,), at least 6, in their order in time.
    """
    ordered, n = np.sort(values), values.size
    ranks = median_ranks(n)
    assert ranks
    z = -NormalDist().inv_cdf(_tail(n, ranks[0]))
    error = float(ordered[ranks[1]] - ordered[ranks[0]]) / (2 * z)
    signs = np.sign(values - percentile(ordered, 50))
    return error**2 * (serial_factor([signs]) if n >= SMALLEST_FOR_SERIAL else 1.0)


def _tail(n: int, rank: int) -> float:
    """How likely at most `rank` of n samples lie below their median."""
    if n >= 1000:
        return (1 - CONFIDENCE) / 2
    return sum(math.comb(n, k) for k in range(rank + 1)) / 2**n


def _spread_of(total: float, error: float, within: float, processes: int, freedom: int) -> Spread:
    """A spread from the mean variance of log medians and its part within processes."""
    from scipy.special import chdtri

    tail = (1 - CONFIDENCE) / 2
    low = freedom * total / float(chdtri(freedom, tail)) - error
    high = freedom * max(total, error) / float(chdtri(freedom, 1 - tail)) - error
    between, low, high = (math.sqrt(max(square, 0.0)) for square in (total - error, low, high))
    return Spread(between, low, high, math.sqrt(error), math.sqrt(within), processes, freedom)


def needed(found: Spread, share: float = 0.01) -> tuple[int, int] | None:
    """The processes, and the samples of each, that a claim of a share needs, of those the fewest inferences in all.

    At least 2 processes, without which nothing is known of how they differ, and 6 samples, without which a median has
    no interval. None where 1,000 processes are too few.
    """
    reach, best = math.log1p(share), None
    for processes in range(2, _MOST_PROCESSES + 1):
        left = processes * (reach / critical(processes - 1)) ** 2 - found.between**2
        if left <= 0:
            continue
        samples = max(math.ceil(found.within**2 / left), SMALLEST_FOR_MEDIAN)
        if best is None or processes * samples < best[0] * best[1]:
            best = processes, samples
        if samples == SMALLEST_FOR_MEDIAN:
            break
    return best


def with_spread(ratio: Ratio, before: Spread, after: Spread, confidence: float = CONFIDENCE) -> Ratio:
    """A ratio of two runs whose interval also holds how far another process of either would differ.

    The reach of its own interval, which has the same confidence, in the logarithm, and that of the two processes are
    added up in squares. How far processes differ is known from few of them, so that Student's t of the fewer degrees of
    freedom counts.
    """
    if math.isnan(ratio.low) or not ratio.value > 0:
        return ratio
    more = spread_reach(before, after, confidence)
    middle = math.log(ratio.value)
    down, up = middle - math.log(ratio.low) if ratio.low > 0 else math.inf, math.log(ratio.high) - middle
    return Ratio(
        ratio.value, math.exp(middle - math.hypot(down, more)), math.exp(middle + math.hypot(up, more)), ratio.n
    )


def spread_reach(before: Spread, after: Spread, confidence: float = CONFIDENCE) -> float:
    """How far the difference of two processes reaches to either side, in the logarithm of a latency."""
    return critical_of(min(before.freedom, after.freedom), confidence) * math.hypot(before.between, after.between)
