"""The interval of a median that was looked at after every sample, so that sampling can stop as soon as it is narrow.

Whoever stops at the first narrow interval is wrong more often than its 95 % say, since one of many looks is lucky.
Here all intervals of a setting, from its first sample to its last, hold the median together in 95 %, so that it does
not matter when or why it stopped: by its precision, by a bound, by a person, or not yet (repeated confidence
intervals: Jennison & Turnbull 1989; the same level at each look: Armitage, McPherson & Rowe 1969).

How many of n samples lie below their median is a walk of fair steps, whatever the latencies' distribution. So the
level of one look that gives 95 % over all is worked out exactly, step by step, for looks after every sample up to the
most that a setting may have (`look_level`: 0.54 % for 300), and each interval is that of order statistics at this
level. The earliest interval has 9 samples then: among 8, all lie on one side of their median too often.

That is for samples drawn alike and independently; simulated, such intervals hold the median in 99 % of settings where
they stop. Where neighbours in time go together, intervals from 20 samples on are widened by what the samples show, as
those of ratios are (`profcore.stats.medians`): where neighbours correlate by 0.3 they hold it in 98 %, but in 88 % to
92 % where they correlate by 0.6, of which a short series shows too little.
"""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from profcore.stats.reaches import SMALLEST_FOR_SERIAL, serial_factor
from profcore.stats.student import CONFIDENCE
from profcore.stats.summary import SMALLEST_FOR_MEDIAN, Median, median_interval, percentile

if TYPE_CHECKING:
    from collections.abc import Callable

_HALVINGS = 12
_LEVELS_TOLD_APART = 1.002


def repeated_interval(values: np.ndarray, most: int) -> Median:
    """The median with an interval that holds it whenever it is looked at.

    Args:
        values: In their order in time; missing ones are left out.
        most: How many samples there may be in the end.

    Shapes:
        values: (samples,).
    """
    known = values[~np.isnan(values)]
    if not known.size:
        return Median(math.nan, math.nan, math.nan, 0)
    ordered = np.sort(known)
    middle = percentile(ordered, 50)
    rank = look_ranks(max(most, known.size))[known.size]
    if rank < 0:
        return Median(middle, math.nan, math.nan, int(known.size))
    wider = math.sqrt(_wider(known - middle))
    below, above = middle - ordered[rank], ordered[-1 - rank] - middle
    low, high = float(middle - wider * below), float(middle + wider * above)
    # Widened it is not to reach below what a latency can be.
    return Median(middle, max(low, 0.0) if ordered[0] >= 0 else low, high, int(known.size))


def interval_for(most: int | None) -> Callable[[np.ndarray], Median]:
    """What gives a run's medians their intervals.

    Args:
        most: As `repeated_interval`, of a run that was looked at; None for one whose number of samples was fixed.
    """
    return median_interval if most is None else partial(repeated_interval, most=most)


def is_narrow(values: np.ndarray, share: float, most: int) -> bool:
    """Whether neither end of the interval of a median is farther from it than a share of it.

    Args:
        values: As `repeated_interval`.
        share: Such as 0.01 for 1 %.
        most: As `repeated_interval`.
    """
    found = repeated_interval(values, most)
    return bool(max(found.high - found.value, found.value - found.low) <= share * found.value)


def expected_samples(iqr: float, median: float, share: float, most: int) -> int:
    """About how many samples a setting takes until its interval is narrow, from the spread that it has shown.

    The samples are taken for normal, whose median varies as its mean times the root of π/2.
    """
    if not (median > 0 and iqr >= 0):
        return most
    level = look_level(most)
    z = -_normal_quantile(level / 2)
    needed = math.pi / 2 * (z * iqr / _IQR_OF_NORMAL / (share * median)) ** 2
    return int(min(max(math.ceil(needed), first_narrow(most)), most))


def first_narrow(most: int) -> int:
    """How many samples the first interval has."""
    return next(n for n, rank in enumerate(look_ranks(most)) if rank >= 0 or n == most)


_IQR_OF_NORMAL = 1.349


def _normal_quantile(share: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(share)


def _wider(around: np.ndarray) -> float:
    """How much more the median varies than if every sample were drawn for itself; 1 where that cannot be told."""
    return serial_factor([np.sign(around)]) if around.size >= SMALLEST_FOR_SERIAL else 1.0


@lru_cache(maxsize=64)
def look_level(most: int) -> float:
    """The level of each look at which all looks, up to that after `most` samples, are wrong in at most 5 % together."""
    low, high = 1e-6, 1 - CONFIDENCE
    if _wrong_at_some_look(most, high) <= 1 - CONFIDENCE:
        return high
    for _ in range(_HALVINGS):
        if high / low < _LEVELS_TOLD_APART:
            break
        middle = math.sqrt(low * high)
        if _wrong_at_some_look(most, middle) <= 1 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return low


@lru_cache(maxsize=64)
def look_ranks(most: int) -> tuple[int, ...]:
    """The rank, from 0, of the lower end after each number of samples up to `most`; -1 where there is no interval."""
    return _ranks(most, look_level(most))


def _ranks(most: int, level: float) -> tuple[int, ...]:
    """For each n the largest rank that at most half of `level` of all walks have as few samples below."""
    ranks, rank, below = [-1] * min(SMALLEST_FOR_MEDIAN, most + 1), -1, 0.0
    for n in range(1, most + 1):
        # Of the walks that had at most `rank` below, those at `rank` leave by a step; then the next rank may fit.
        below -= _share(n - 1, rank) / 2
        more = below + _share(n, rank + 1)
        if 2 * more <= level:
            rank, below = rank + 1, more
        if n >= SMALLEST_FOR_MEDIAN:
            ranks.append(rank)
    return tuple(ranks)


def _share(n: int, k: int) -> float:
    """The share of walks of n fair steps that have k of them below."""
    if not 0 <= k <= n:
        return 0.0
    return math.exp(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2))


def _wrong_at_some_look(most: int, level: float) -> float:
    """How likely some interval misses the median, if each look has this level."""
    ranks = _ranks(most, level)
    walks, wrong = np.zeros(most + 2), 0.0
    walks[0] = 1.0
    for n in range(1, most + 1):
        walks[1 : n + 1] = (walks[1 : n + 1] + walks[:n]) / 2
        walks[0] /= 2
        rank = ranks[n]
        if rank >= 0:
            wrong += float(walks[: rank + 1].sum() + walks[n - rank : n + 1].sum())
            walks[: rank + 1] = walks[n - rank : n + 1] = 0
    return wrong
