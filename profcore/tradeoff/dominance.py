"""Which points no other is better than, for one pair of axes or for many draws at once; pure."""

from __future__ import annotations

import numpy as np


def not_dominated(cost: np.ndarray, quality: np.ndarray) -> np.ndarray:
    """Which points are on the frontier of low cost and high quality.

    A point is dominated where another costs no more and is no worse, and is better in one of the two; so points that
    are alike in both stand or fall together. What lacks a figure is never on the frontier, and dominates nothing.

    Shapes:
        cost, quality: (points,), or (draws, points); returns booleans of the same shape.
    """
    cost, quality = np.broadcast_arrays(np.asarray(cost, dtype=float), np.asarray(quality, dtype=float))
    if not cost.size:
        return np.zeros(cost.shape, dtype=bool)
    known = ~(np.isnan(cost) | np.isnan(quality))
    cost, quality = np.where(known, cost, np.inf), np.where(known, quality, -np.inf)
    # By cost, and among equal costs the best first.
    order = np.lexsort((-quality, cost), axis=-1)
    costs, qualities = np.take_along_axis(cost, order, -1), np.take_along_axis(quality, order, -1)
    places = np.broadcast_to(np.arange(costs.shape[-1]), costs.shape)
    begins = np.ones(costs.shape, dtype=bool)
    begins[..., 1:] = costs[..., 1:] != costs[..., :-1]
    first = np.maximum.accumulate(np.where(begins, places, 0), axis=-1)
    best = np.maximum.accumulate(qualities, axis=-1)
    before = np.where(first > 0, np.take_along_axis(best, np.maximum(first - 1, 0), -1), -np.inf)
    on = (qualities > before) & (qualities == np.take_along_axis(qualities, first, -1))
    found = np.zeros(costs.shape, dtype=bool)
    np.put_along_axis(found, order, on, -1)
    return found & known
