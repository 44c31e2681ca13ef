"""How far two frontiers are the same: the settings that are on both, of those on either (Jaccard)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from profcore.errors import UserError
from profcore.spec.text import some
from profcore.tradeoff.draws import interval
from profcore.tradeoff.frontier import find_frontier
from profcore.tradeoff.points import matched

if TYPE_CHECKING:
    from profcore.tradeoff.points import JointPoints

_FEWEST = 2


@dataclass(frozen=True)
class Overlap:
    """The Jaccard overlap of two frontiers with its 95 % interval.

    Attributes:
        value: Settings on both, over settings on either.
        low: Lower end; as the upper one NaN where samples are too few to bound the percentile.
        high: Upper end.
        both: Labels of the settings on both.
        first: Labels of those on the first alone.
        second: Labels of those on the second alone.
        compared: How many settings both runs measured, among which both frontiers are sought.
    """

    value: float
    low: float
    high: float
    both: list[str]
    first: list[str]
    second: list[str]
    compared: int


def jaccard(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Members of both over members of either, along the last axis; 1 where neither has a member.

    Shapes:
        first, second: (..., settings), booleans; returns (...).
    """
    either = (first | second).sum(axis=-1)
    return np.where(either > 0, (first & second).sum(axis=-1) / np.maximum(either, 1), 1.0)


def frontier_overlap(
    first: JointPoints,
    second: JointPoints,
    metric: str = "total_ms",
    percentile: float = 50,
    quality: str | None = None,
    seed: int = 0,
) -> Overlap:
    """How far the frontiers of two runs agree, among the settings that both measured.

    Each draw draws both runs' samples and questions anew. Since near ties fall either way in a draw, most draws agree
    less than the runs do; the interval is stretched to hold the estimate.

    Args:
        first: A joint run's points.
        second: Another's: of another data set, card or engine.
        metric: As `find_frontier`.
        percentile: As `find_frontier`.
        quality: As `find_frontier`; the most telling that both have unless given.
        seed: Of the draws.

    Raises:
        UserError: They share fewer than two settings, or as `find_frontier`.
    """
    pairs = list(matched(first, second))
    if len(pairs) < _FEWEST:
        raise UserError(
            f"These runs share {len(pairs)} of their settings, and a frontier needs {_FEWEST}: measure both over the "
            "same grid of knobs."
        )
    one, other = (
        points.where(_mask(points, places))
        for points, places in zip((first, second), zip(*pairs, strict=True), strict=True)
    )
    quality = quality or next(name for name in one.qualities if name in other.qualities)
    frontiers = [
        find_frontier(one, metric, percentile, quality, seed),
        find_frontier(other, metric, percentile, quality, seed + 1),
    ]
    # `where` keeps the order of either run: they are brought into one.
    places = np.array([place for _, place in sorted(pairs)])
    order = np.argsort(np.argsort(places))
    on = [frontiers[0].table["on_frontier"].to_numpy(), frontiers[1].table["on_frontier"].to_numpy()[order]]
    draws = [frontiers[0].draws, frontiers[1].draws[:, order]]
    number = min(map(len, draws))
    found = jaccard(draws[0][:number], draws[1][:number])
    value = float(jaccard(on[0], on[1]))
    low, high = (float(end[0]) for end in interval(found[:, None]))
    if any(each.unbounded for each in frontiers):
        low = high = np.nan
    labels = frontiers[0].table["label"].to_numpy()
    return Overlap(
        value,
        float(np.minimum(low, value)),
        float(np.maximum(high, value)),
        labels[on[0] & on[1]].tolist(),
        labels[on[0] & ~on[1]].tolist(),
        labels[~on[0] & on[1]].tolist(),
        len(pairs),
    )


def _mask(points: JointPoints, places: tuple[int, ...]) -> np.ndarray:
    chosen = np.zeros(len(points.table), dtype=bool)
    chosen[list(places)] = True
    return chosen


def overlap_sentences(found: Overlap) -> list[str]:
    """How far two frontiers agree, and where they do not, a sentence each."""
    interval = (
        "samples are too few for an interval" if np.isnan(found.low) else f"95 %: {found.low:.0%} to {found.high:.0%}"
    )
    said = [
        f"The frontiers share {found.value:.0%} of their settings (Jaccard; {interval}), among the "
        f"{found.compared} that both runs measured."
    ]
    for names, which in ((found.first, "first"), (found.second, "second")):
        if names:
            said.append(f"On the {which} alone: {some(names)}.")
    return said
