"""Each stage of a run as a point under the roofline of its card, and what that says of the stage; pure.

Source: Williams, Waterman & Patterson 2009: FLOPs over bytes against FLOPs over time, under the lower of the memory's
slope and the arithmetic's ceiling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from profcore.roofline.cost import NEAR
from profcore.spec.stages import MODEL_STAGES

if TYPE_CHECKING:
    from profcore.spec.records import Ceilings

MEMORY, COMPUTE, LAUNCH, BELOW = "memory-bound", "compute-bound", "launch-bound", "below both ceilings"
"""What a stage can be said to be."""

COLUMNS = (
    "setting",
    "title",
    "x",
    "stage",
    "flops",
    "bytes",
    "ms",
    "intensity",
    "achieved",
    "roof",
    "share",
    "verdict",
)


def roofline_points(summary: pd.DataFrame, ceilings: Ceilings) -> pd.DataFrame:
    """A row for each setting and stage that has work and was measured.

    Args:
        summary: As `floors.add_floors` gives it, with the settings' `x` and `title`.
        ceilings: What its floors were computed from.

    Units:
        `intensity` in FLOPs per byte; `achieved`, and `roof`, the most at that intensity, in FLOPs per second; `ms` is
        the median, `share` is `achieved` over `roof`, and `stage` is the stage's label.
    """
    stages = {stage.column: stage.label for stage in MODEL_STAGES}
    rows = summary[summary["metric"].isin(stages)]
    rows = rows[(rows["median"] > 0) & (rows["flops"] > 0) & (rows["bytes"] > 0)]
    points = rows[["setting", "title", "x", "flops", "bytes"]].assign(
        stage=rows["metric"].map(stages), ms=rows["median"], intensity=rows["flops"] / rows["bytes"]
    )
    points["achieved"] = points["flops"] / (points["ms"] / 1e3)
    points["roof"] = roof_at(points["intensity"].to_numpy(dtype=float), ceilings)
    points["share"] = points["achieved"] / points["roof"]
    below_ridge = points["intensity"] < ridge(ceilings)
    near = points["share"] >= NEAR
    # Launching says more of a stage than where it lies: the device waits, whatever it could do.
    points["verdict"] = np.select(
        [rows["binds"] == "launch", near & below_ridge, near], [LAUNCH, MEMORY, COMPUTE], BELOW
    )
    points["stage"] = pd.Categorical(points["stage"], list(stages.values()))
    points = points.sort_values(["stage", "x", "setting"]).astype({"stage": str})
    return points[list(COLUMNS)].reset_index(drop=True)


def roof_at(intensity: np.ndarray, ceilings: Ceilings) -> np.ndarray:
    """The most FLOPs per second that a device gives at some FLOPs per byte."""
    return np.minimum(intensity * ceilings.memory_gb_s * 1e9, ceilings.matmul_tflop_s * 1e12)


def ridge(ceilings: Ceilings) -> float:
    """The FLOPs per byte at which the memory's slope meets the arithmetic's ceiling."""
    return ceilings.matmul_tflop_s * 1e12 / (ceilings.memory_gb_s * 1e9)


_MEANS = {
    MEMORY: "it is as fast as memory hands over its bytes: fewer bytes make it faster, fewer FLOPs do not",
    COMPUTE: "it is as fast as the arithmetic goes: fewer FLOPs make it faster, fewer bytes do not",
    LAUNCH: "far below both ceilings, since the device waits for the host to launch kernels: neither fewer FLOPs nor "
    "fewer bytes make it faster",
    BELOW: "neither ceiling holds it back: its kernels use neither the memory nor the arithmetic to the full",
}


def conclusions(points: pd.DataFrame) -> list[str]:
    """A sentence for each stage of one run: what it is bound by, how near, and what follows.

    Args:
        points: As `roofline_points`.
    """
    found = []
    for stage, rows in points.groupby("stage", sort=False):
        counts = rows["verdict"].value_counts(sort=False)
        least, most = _percent(rows["share"].min()), _percent(rows["share"].max())
        shares = least if least == most else f"{least} to {most}"
        if counts.size == 1:
            verdict = str(counts.index[0])
            found.append(f"{stage}: {verdict} (at {shares} of the ceiling above it); {_MEANS[verdict]}.")
            continue
        parts = ", ".join(f"{verdict} at {number} of {len(rows)} settings" for verdict, number in counts.items())
        found.append(f"{stage}: {parts} (at {shares} of the ceiling above it).")
    return found


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"
