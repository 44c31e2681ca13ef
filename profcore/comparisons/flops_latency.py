"""FLOPs against latency, Motivation experiment 5: do theoretical FLOPs predict what was measured? Pure."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd

from profcore.roofline.flops import COLUMNS
from profcore.spec.stages import MODEL_STAGES
from profcore.stats import METRIC_LABELS, correlation

METRICS = (*(stage.column for stage in MODEL_STAGES), "total_ms")


def correlations(samples: pd.DataFrame) -> pd.DataFrame:
    """How closely each stage's latency follows its FLOPs, and the total its sum.

    Args:
        samples: With `flops.COLUMNS`, the stages' milliseconds, and `image_id` where pictures are told apart.

    Returns:
        A row for each stage whose FLOPs vary: `metric`, `r`, `low`, `high` (95 %), `r_squared`, `n`, `tflop_s` (the
        median of FLOPs over latency, in 10¹² operations per second).
    """
    pictures = samples["image_id"] if "image_id" in samples else pd.Series(index=samples.index, dtype=object)
    # A row that does not name its picture is one of its own.
    clusters = pictures.where(pictures.notna(), samples.index.astype(str)).to_numpy(dtype=str)
    rows = []
    for metric, flops in zip(METRICS, COLUMNS, strict=True):
        work, latency = samples[flops].to_numpy(float), samples[metric].to_numpy(float)
        # A stage that has nothing to do has no speed, and would only add points at the origin.
        done = work > 0
        found = correlation(work[done], latency[done], clusters[done])
        if not np.isnan(found.r):
            speed = float(np.nanmedian(work[done] / latency[done])) / 1e9
            rows.append({"metric": metric, **asdict(found), "tflop_s": speed})
    return pd.DataFrame(rows, columns=["metric", "r", "low", "high", "r_squared", "n", "tflop_s"])


def display_correlations(rows: pd.DataFrame) -> pd.DataFrame:
    """The correlations as a table for people."""
    return pd.DataFrame(
        {
            "stage": rows["metric"].map(METRIC_LABELS),
            "correlation r": rows["r"].round(4),
            "95 % from": rows["low"].round(4),
            "to": rows["high"].round(4),
            "R²": rows["r_squared"].round(4),
            "TFLOP/s": rows["tflop_s"].round(3),
            "points": rows["n"],
        }
    )
