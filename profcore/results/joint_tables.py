"""A joint run's points as a table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from profcore.results.tables import padded
from profcore.spec.stages import Stage
from profcore.stats import METRIC_LABELS

if TYPE_CHECKING:
    from profcore.results.joint import JointResult

_KNOBS = {
    "tier": "tier",
    "grid": "grid",
    "num_crops": "crops",
    "num_vision_tokens": "vision tokens",
    "top_k": "top-k",
    "active_blocks": "blocks",
    "output_tokens": "output tokens",
}
_QUALITY = {"accuracy": "accuracy", "kl": "KL (nats)", "total_j": "energy (J)"}
_WORDS = ("setting", "tier", "grid", "failed")
SHOWN = (*(stage.column for stage in Stage if stage is not Stage.OTHER), "ttft_ms", "tpot_ms", "total_ms")
"""The latencies that a table of points has, and a heat map can show."""

_SHORT = ("ttft_ms", "tpot_ms", "total_ms")


def display_joint(result: JointResult) -> pd.DataFrame:
    """The points as a table for people: knobs, samples, medians in milliseconds, quality; without empty columns."""
    points = result.points
    frame = pd.DataFrame({"setting": points["label"]})
    for name, called in _KNOBS.items():
        frame[called] = points[name] if name in _WORDS else _counted(points[name])
    frame["samples"] = padded(points["samples"], 0)
    medians = result.summary.pivot_table(index="point", columns="metric", values="median").reindex(points.index)
    for metric in SHOWN:
        if metric in medians:
            frame[f"{METRIC_LABELS[metric]} (ms)"] = padded(medians[metric])
    for name, called in _QUALITY.items():
        frame[called] = padded(pd.to_numeric(points[name]))
    frame["failed"] = points["failed"]
    known = points.assign(setting=points["label"])
    empty = [called for name, called in {**_KNOBS, **_QUALITY, "failed": "failed"}.items() if known[name].isna().all()]
    return frame.drop(columns=empty)


def _counted(values: pd.Series) -> list[str]:
    """Numbers of things, which a median over pictures may leave between two."""
    known = pd.to_numeric(values)
    return padded(known, 0 if (known.dropna() % 1 == 0).all() else 1)


def display_short_joint(result: JointResult) -> pd.DataFrame:
    """The points as a terminal holds them: medians of TTFT, TPOT and total in milliseconds, and accuracy."""
    table = display_joint(result)
    wanted = ("setting", "samples", *(f"{METRIC_LABELS[name]} (ms)" for name in _SHORT), "accuracy", "failed")
    return table[[name for name in wanted if name in table]]


def word_columns() -> tuple[str, ...]:
    """The columns of the table that hold words."""
    return _WORDS
