"""How far a fit is off on whole settings that it has not seen; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from profcore.tradeoff.fitting import least_squares

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDS = 10


@dataclass(frozen=True)
class Errors:
    """Absolute relative errors of predictions, as shares; NaN where there are none.

    Attributes:
        median: Half of the settings are nearer.
        p95: Nineteen of twenty are.
        n: On how many settings.
    """

    median: float
    p95: float
    n: int

    @classmethod
    def of(cls, predicted: np.ndarray, measured: np.ndarray) -> Errors:
        """Those of some predictions; what was not predicted is left out."""
        known = np.isfinite(predicted) & np.isfinite(measured) & (measured > 0)
        if not known.any():
            return cls(np.nan, np.nan, 0)
        off = np.abs(predicted[known] / measured[known] - 1)
        return cls(float(np.median(off)), float(np.percentile(off, 95)), int(off.size))


def by_folds(columns: np.ndarray, latencies: np.ndarray, seed: int = 0, folds: int = FOLDS) -> np.ndarray:
    """What each setting is predicted to take by a fit that has not seen it; [settings]."""
    number = len(latencies)
    order = np.random.default_rng(seed).permutation(number)
    predicted = np.full(number, np.nan)
    for left in np.array_split(order, min(folds, number)):
        seen = np.setdiff1d(order, left)
        predicted[left] = columns[left] @ least_squares(columns[seen], latencies[seen])
    return predicted


def beyond(columns: np.ndarray, latencies: np.ndarray, knob: np.ndarray) -> np.ndarray:
    """What the settings of a knob's largest value are predicted to take by a fit to all others; NaN elsewhere.

    Shapes:
        columns: (settings, terms); latencies, knob: (settings,); returns (settings,).
    """
    predicted = np.full(len(latencies), np.nan)
    largest = knob == np.nanmax(knob)
    if not largest.all() and (~largest).sum() >= columns.shape[1]:
        predicted[largest] = columns[largest] @ least_squares(columns[~largest], latencies[~largest])
    return predicted


def by_number(
    columns: np.ndarray, latencies: np.ndarray, sizes: Sequence[int], repeats: int = 5, seed: int = 0
) -> dict[int, Errors]:
    """The errors on all other settings of fits to only so many, drawn at random several times each."""
    generator = np.random.default_rng(seed)
    found = {}
    for size in sizes:
        predicted, measured = [], []
        for _ in range(repeats):
            order = generator.permutation(len(latencies))
            seen, others = order[:size], order[size:]
            predicted.append(columns[others] @ least_squares(columns[seen], latencies[seen]))
            measured.append(latencies[others])
        found[size] = Errors.of(np.concatenate(predicted), np.concatenate(measured))
    return found


def reach(predicted: np.ndarray, measured: np.ndarray, confidence: float = 0.95) -> float:
    """How far, as a share of itself, a prediction's interval reaches to either side; infinite for too few settings.

    The error on a setting to come lies among those of the settings left out as any of these does among the others
    (conformal prediction: Vovk et al. 2005), so that nothing is assumed of how errors are distributed.
    """
    known = np.isfinite(predicted) & np.isfinite(measured) & (predicted > 0)
    off = np.sort(np.abs(measured[known] / predicted[known] - 1))
    rank = int(np.ceil(confidence * (off.size + 1)))
    return float(off[rank - 1]) if rank <= off.size else np.inf
