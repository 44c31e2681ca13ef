"""How long a sweep will take, from what earlier runs took on the same device with the same model and engine; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from profcore.spec.until import FEWEST
from profcore.stats import expected_samples

if TYPE_CHECKING:
    import pandas as pd

    from profcore.spec.runs import Sweep
    from profcore.spec.settings import Setting

FARTHEST = 1.0
"""How far a setting may be from one that was measured, in doublings of a knob, to be taken for like it."""

_KNOBS = ["crops", "top_k", "active_blocks", "output_tokens"]


def sweep_duration(
    sweep: Sweep, earlier: pd.DataFrame, overheads: pd.DataFrame, predicted: np.ndarray | None = None
) -> float | None:
    """About how many seconds a sweep takes; None where it has a setting that nothing alike was measured of.

    Each setting is taken to last as long as it did before, else as a latency model says, else as the nearest that was
    measured, once for each sample and warm-up; where it is sampled until it is precise, as often as its spread asks
    for. On top comes what earlier runs took besides: loading, compiling, capturing, a run's own ceilings.

    Args:
        sweep: What is to be measured.
        earlier: As `Reader.timings`.
        overheads: As `Reader.overheads`.
        predicted: What a latency model says of each of its settings, in milliseconds; [settings], NaN where nothing.
    """
    if earlier.empty or sweep.plan:
        return None
    if predicted is None:
        predicted = np.full(len(sweep.settings), np.nan)
    known = np.log2(earlier[_KNOBS].to_numpy(dtype=float))
    took = earlier["total_ms"].to_numpy(dtype=float)
    # As shares of the totals; a setting that was measured too seldom says nothing of how it varies.
    varied = earlier["iqr"].to_numpy(dtype=float) / took if "iqr" in earlier else np.full(took.size, np.nan)
    total = 0.0
    for setting, modelled in zip(sweep.settings, predicted, strict=True):
        place = _place(setting)
        nearest = _nearest(place, known)
        if nearest is None and np.isnan(modelled):
            return None
        same = nearest is not None and np.allclose(known[nearest], place)
        ms = float(modelled) if nearest is None or not (same or np.isnan(modelled)) else float(np.median(took[nearest]))
        spread = varied if nearest is None else varied[nearest]
        spread = spread[~np.isnan(spread)]
        total += ms * (_samples(sweep, ms, float(np.median(spread)) if spread.size else None) + sweep.warmup) / 1000
    return float(total + _overhead(overheads) * len(sweep.settings))


def _samples(sweep: Sweep, ms: float, spread: float | None) -> float:
    """About how many samples a setting will have: where they are not fixed by how it varied before, else the most."""
    if sweep.until is None:
        return sweep.num_samples
    precise = sweep.num_samples
    if spread is not None:
        precise = expected_samples(spread, 1.0, sweep.until.precision, sweep.num_samples)
    return min(precise, max(1000 * sweep.until.max_seconds / ms, FEWEST))


def _place(setting: Setting) -> np.ndarray:
    rows, columns = setting.grid
    return np.log2([rows * columns, setting.top_k, setting.active_blocks, setting.output_tokens])


def _nearest(place: np.ndarray, known: np.ndarray) -> np.ndarray | None:
    """Which of the settings that were measured are nearest; None where no setting is near."""
    distances = np.abs(known - place)
    near = distances.max(axis=1) <= FARTHEST
    if not near.any():
        return None
    whole = np.where(near, distances.sum(axis=1), np.inf)
    return np.isclose(whole, whole.min())


def _overhead(overheads: pd.DataFrame) -> float:
    """Seconds that a run takes per setting besides its inferences."""
    if overheads.empty:
        return 0.0
    besides = (overheads["wall_s"] - overheads["inferences_s"]).clip(lower=0)
    return float((besides / overheads["settings"]).median())
