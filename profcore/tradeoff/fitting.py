"""Non-negative terms fitted to latencies, so that relative errors are small; pure."""

from __future__ import annotations

import numpy as np

DRAWS = 200
_AS_GOOD = 0.01


def least_squares(
    columns: np.ndarray, latencies: np.ndarray, near: np.ndarray | None = None, pull: float = 0.0
) -> np.ndarray:
    """Non-negative coefficients with the least sum of squared relative errors (Lawson & Hanson 1974).

    What is not negative is soon zero where others say the same, so that few of the terms remain.

    Args:
        columns: Terms of each setting; [settings, terms].
        latencies: Above 0; [settings].
        near: Coefficients that these are drawn towards; [terms].
        pull: How much a coefficient that is off by all of itself counts, in settings that are off by all of theirs.

    Returns:
        The coefficients; [terms].
    """
    from scipy.optimize import nnls

    relative, target = columns / latencies[:, None], np.ones(len(latencies))
    if near is not None and pull > 0:
        known = near > 0
        weights = np.zeros((int(known.sum()), len(near)))
        weights[np.arange(len(weights)), np.flatnonzero(known)] = np.sqrt(pull) / near[known]
        relative, target = np.vstack([relative, weights]), np.append(target, np.full(len(weights), np.sqrt(pull)))
    # Of one size: else what counts as zero would depend on the unit of a term.
    sizes = np.sqrt((relative**2).sum(axis=0))
    sizes[sizes == 0] = 1.0
    found, _ = nnls(relative / sizes, target)
    return found / sizes


def coefficient_draws(
    columns: np.ndarray, latencies: np.ndarray, generator: np.random.Generator, draws: int = DRAWS
) -> np.ndarray:
    """What the coefficients may also have been, by drawing settings anew; (draws, terms)."""
    number = len(latencies)
    picked = generator.integers(0, number, (draws, number))
    return np.stack([least_squares(columns[each], latencies[each]) for each in picked])


def nearest(columns: np.ndarray, latencies: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Coefficients for another card or engine from few settings: drawn towards known ones, all grown by one factor.

    How strongly is found by leaving each of the settings out in turn.

    Shapes:
        columns: (settings, terms); latencies: (settings,); known, and what is returned: (terms,).
    """
    factor = float(np.median(latencies / (columns @ known)))
    near = factor * known
    pulls = (100.0, 1.0, 0.1, 1e-2, 1e-3, 1e-4, 0.0)
    errors = np.array([_left_out(columns, latencies, near, pull) for pull in pulls])
    # Of what is as good, what is nearest to what is known.
    strongest = int(np.flatnonzero(errors <= errors.min() * (1 + _AS_GOOD) + 1e-12)[0])
    return least_squares(columns, latencies, near, pulls[strongest])


def _left_out(columns: np.ndarray, latencies: np.ndarray, near: np.ndarray, pull: float) -> float:
    """The mean square of relative errors on settings left out in turn."""
    off = []
    for place in range(len(latencies)):
        others = np.arange(len(latencies)) != place
        found = least_squares(columns[others], latencies[others], near, pull)
        off.append(columns[place] @ found / latencies[place] - 1)
    return float(np.mean(np.square(off)))
