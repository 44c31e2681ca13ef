"""How far medians, and sums of weighted ones, reach to either side (see `profcore.stats.medians`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from profcore.stats.student import CONFIDENCE
from profcore.stats.summary import median_ranks, percentile

if TYPE_CHECKING:
    from collections.abc import Sequence

SMALLEST_FOR_SERIAL = 20
"""Samples below which it cannot be told whether neighbours in time go together."""

_MOST_SERIAL = 0.9


@dataclass(frozen=True)
class Reach:
    """A median and how far its exact interval reaches below and above it.

    Attributes:
        signs: For each sample in its order in time whether it lies above (1) or below (-1).
    """

    median: float
    below: float
    above: float
    signs: np.ndarray


def reach(values: np.ndarray, confidence: float = CONFIDENCE) -> Reach:
    """A median's reach, of at least one value; without a bound where there are too few for the confidence."""
    ordered, n = np.sort(values), values.size
    median, ranks = percentile(ordered, 50), median_ranks(n, confidence)
    if ranks is None and confidence != CONFIDENCE:
        return Reach(median, math.inf, math.inf, np.sign(values - median))
    if ranks is None:
        # The least and the most of 5 enclose a median in 94 %, and sums of several such in more than 95 %.
        ranks = 0, n - 1
    below, above = median - ordered[ranks[0]], ordered[ranks[1]] - median
    return Reach(median, float(below), float(above), np.sign(values - median))


def rounding(terms: np.ndarray) -> float:
    """How far a sum of doubles may be off for rounding, of the terms and of the sum, whatever the order of adding."""
    return float((terms.size + 2) * np.finfo(float).eps * np.abs(terms).sum())


def squares_of(weights: np.ndarray, medians: Sequence[Reach]) -> tuple[float, float]:
    """How far the sum of a run's weighted medians reaches below and above, squared."""
    below, above = np.array([each.below for each in medians]), np.array([each.above for each in medians])
    down, up = weights * np.where(weights > 0, below, above), weights * np.where(weights > 0, above, below)
    factor = 1.0
    if math.isfinite(float(down @ down + up @ up)) and min(each.signs.size for each in medians) >= SMALLEST_FOR_SERIAL:
        reaches = weights * (below + above)
        factor = serial_factor([far * each.signs for far, each in zip(reaches, medians, strict=True)])
    return factor * float(down @ down), factor * float(up @ up)


def serial_factor(effects: Sequence[np.ndarray]) -> float:
    """How much more a sum of medians varies than if every sample were drawn for itself; at least 1.

    What each round of a run adds to the sum varies more where the samples of a round go together, and counts for less
    where the next round goes with it (autoregression of first order; its bias as Kendall 1954 gives it).

    Args:
        effects: For each setting what each of its samples adds to the sum, in their order in time;
            `SMALLEST_FOR_SERIAL` or more.
    """
    rounds = min(each.size for each in effects)
    each = np.stack([effect[:rounds] for effect in effects])
    together, alone = each.sum(axis=0), float((each**2).sum())
    square = float(together @ together)
    if not alone or not square:
        return 1.0
    lag = float(together[1:] @ together[:-1]) / square
    lag = min(max(lag + (1 + 3 * lag) / rounds, 0.0), 1.0)
    # Signs correlate less than what they are the signs of (arcsine law), and for longer than their own lag says.
    lag = min(math.sin(lag * math.pi / 2), _MOST_SERIAL)
    return max(1.0, square / alone * (1 + lag) / (1 - lag))
