"""What a percentile of latency, and a mean over questions, may also have been: draws of a bootstrap; pure.

A percentile is not found by drawing samples again and sorting them, which a million of them would make slow: how many
of n samples lie below it is binomially distributed, whatever the distribution (Hahn & Meeker 1991, section 5.2), so one
number for each draw says between which two samples it may have been. The central 95 % of draws is then the exact
interval of `stats.median_ranks`, but for where in a gap between two samples it ends.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

DRAWS = 1000
TAIL = 0.025
"""Share of draws that an interval of 95 % leaves out at either end."""


def samples_to_bound(share: float) -> int:
    """How many samples it takes to bound a percentile at both ends with 95 %: fewer may all lie on one side of it.

    Args:
        share: The percentile in percent, between 0 and 100.
    """
    return math.ceil(math.log(TAIL) / math.log(max(share, 100 - share) / 100))


def percentile_draws(
    groups: Sequence[np.ndarray], share: float, generator: np.random.Generator, draws: int = DRAWS
) -> np.ndarray:
    """What the percentile of each group may have been.

    Where a draw asks for more than the samples hold, as the upper end of a P95 of few samples does, it is infinite: no
    sample says how far the tail reaches. So it is minus infinity below the least.

    Args:
        groups: Each group's samples in ascending order; one without samples gives NaN.
        share: The percentile in percent, between 0 and 100.
        generator: Draws.
        draws: How many.

    Shapes:
        Returns (draws, groups).
    """
    found = np.full((draws, len(groups)), np.nan)
    for place, ordered in enumerate(groups):
        n = ordered.size
        if n == 0:
            continue
        below = generator.binomial(n, share / 100, draws)
        at = below - 1 + generator.random(draws)
        inner = np.clip(at, 0, n - 1)
        low = inner.astype(int)
        high = np.minimum(low + 1, n - 1)
        values = ordered[low] + (ordered[high] - ordered[low]) * (inner - low)
        found[:, place] = np.where(below == n, np.inf, np.where(below == 0, -np.inf, values))
    return found


def mean_draws(
    scores: Sequence[np.ndarray | None],
    means: np.ndarray,
    counts: np.ndarray,
    generator: np.random.Generator,
    draws: int = DRAWS,
) -> np.ndarray:
    """What the mean score of each point may have been over other questions of the same kind.

    Points that answered the same questions are drawn together, so that what makes a question hard makes it hard for
    all. Where only the mean is known, its score is taken for right or wrong, which no score of that mean varies more
    than; where not even the number of questions is known, the mean stands as it is.

    Args:
        scores: Each point's score of each question, or None.
        means: Each point's mean score, NaN where it has none; [points].
        counts: Over how many questions, NaN or 0 where that is not known; [points].
        generator: Draws.
        draws: How many.

    Shapes:
        Returns (draws, points).
    """
    found = np.broadcast_to(means, (draws, len(means))).astype(float)
    sizes: dict[int, list[int]] = {}
    for place, each in enumerate(scores):
        if each is not None and len(each):
            sizes.setdefault(len(each), []).append(place)
        elif counts[place] > 0 and 0 <= means[place] <= 1:
            found[:, place] = generator.binomial(int(counts[place]), means[place], draws) / int(counts[place])
    for size, places in sizes.items():
        times = generator.multinomial(size, np.full(size, 1 / size), draws)
        table = np.stack([np.asarray(scores[place], dtype=float) for place in places])
        found[:, places] = times @ table.T / size
    return found


def interval(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The central 95 % of each column; NaN for an end that the samples do not bound.

    Shapes:
        draws: (draws, columns); returns (columns,) each.
    """
    ordered = np.sort(draws, axis=0)
    number = len(ordered)
    # The order statistic next outside, never between two: an infinite end stays one.
    low, high = ordered[int(number * TAIL)], ordered[number - 1 - int(number * TAIL)]
    return np.where(np.isfinite(low), low, np.nan), np.where(np.isfinite(high), high, np.nan)
