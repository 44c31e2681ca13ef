"""FLOPs against latency, Motivation experiment 5: do theoretical FLOPs predict what was measured? Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from profcore.comparisons.conditions import (
    KNOBS,
    MACHINE,
    ORIGIN,
    PICTURE,
    PROMPT,
    Conditions,
    find_differences,
    known_alike,
    result_conditions,
    told_apart,
)
from profcore.roofline.flops import COLUMNS
from profcore.spec.stages import MODEL_STAGES
from profcore.stats import METRIC_LABELS, correlation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from profcore.results.pictures import PictureResult

METRICS = (*(stage.column for stage in MODEL_STAGES), "total_ms")


_SAME = tuple(
    MACHINE[name] for name in ("device_name", "model", "weights", "dtype", "engine", "experts", "attention", "clock")
)
# FLOPs say what a knob costs, so it may stand elsewhere; and every picture is another.
_ACCOUNTED = (PICTURE, PROMPT, ORIGIN, *KNOBS.values())


@dataclass(frozen=True)
class Pool:
    """Motivation runs whose points lie on one plane of FLOPs and latency.

    Attributes:
        title: What tells it from others.
        runs: The ids of its runs.
        points: Of all of them, as `PictureResult.points`; `image_id` tells pictures of different data sets apart.
        differences: What they differ in, in words.
    """

    title: str
    runs: tuple[str, ...]
    points: pd.DataFrame
    differences: list[str]


def pool_alike(results: Sequence[PictureResult], names: Mapping[str, str] | None = None) -> list[Pool]:
    """Runs pooled where card, model, types, engine and clock are known and the same; every other stands by itself.

    Args:
        results: Motivation runs.
        names: How runs are shown, by their ids; the ids unless given.
    """
    called = names or {}
    conditions = told_apart([result_conditions(each, called.get(each.run["id"], "")) for each in results])
    pools: list[list[tuple[Conditions, PictureResult]]] = []
    for own, result in zip(conditions, results, strict=True):
        for members in pools:
            if known_alike(own, members[0][0], _SAME):
                members.append((own, result))
                break
        else:
            pools.append([(own, result)])
    return [_pool(members) for members in pools]


def _pool(members: Sequence[tuple[Conditions, PictureResult]]) -> Pool:
    conditions = [own for own, _ in members]
    return Pool(
        title="; ".join(own.name for own in conditions),
        runs=tuple(own.run_id for own in conditions),
        points=pd.concat([_named_pictures(result) for _, result in members], ignore_index=True),
        differences=find_differences(conditions, leave_out=_ACCOUNTED),
    )


def _named_pictures(result: PictureResult) -> pd.DataFrame:
    """A run's points with pictures named by their data set too; of a file that names none, by the run."""
    queries = (result.run["spec"].get("sweep") or {}).get("queries") or {}
    place = queries.get("name") or result.run["id"]
    return result.points.assign(image_id=place + ": " + result.points["picture"])


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
