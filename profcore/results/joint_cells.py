"""Two knobs of a joint run against each other: the cells of a heat map, the other knobs held; pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from profcore.results.joint_tables import SHOWN
from profcore.stats import METRIC_LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from profcore.results.joint import JointResult

QUALITY = {"accuracy": "Accuracy", "kl": "KL divergence (nats)", "total_j": "Energy (J)"}
"""What a cell can show besides a latency, and the column of the points that holds it."""


class JointKnob(NamedTuple):
    """A knob of a joint run.

    Attributes:
        title: What it is called.
        texts: Its value at each point, in words; by the points' index.
        order: The values that there are, in ascending order.
    """

    title: str
    texts: pd.Series
    order: list[str]

    @property
    def varies(self) -> bool:
        """Whether it has two values or more."""
        return len(self.order) > 1


def joint_knobs(points: pd.DataFrame) -> dict[str, JointKnob]:
    """The knobs of a joint run by their short names, with their values in words.

    Args:
        points: As `JointResult.points`.
    """
    crops = points["grid"].where(points["grid"].notna(), points["tier"])
    bound = "up to " + points["most_crops"].map(_whole)
    crops = crops.where(crops.notna(), bound.where(points["most_crops"].notna(), points["num_crops"].map(_whole)))
    size = pd.to_numeric(points["num_crops"]).fillna(pd.to_numeric(points["most_crops"]))
    grid_crops = points["grid"].map(_crops_of_grid)
    tier_crops = pd.to_numeric(points["least_crops"])
    blocks = points["active_blocks"].map(_whole)
    own = points["block_mask"].map(lambda mask: f" {mask}" if isinstance(mask, str) and "01" in mask else "")
    return {
        "crops": _knob(
            "Tier of crops" if points["tier"].notna().any() else "Image grid",
            crops,
            grid_crops.fillna(tier_crops).fillna(size),
        ),
        "top_k": _knob("Top-k", points["top_k"].map(_whole), points["top_k"]),
        "blocks": _knob("Active blocks", blocks + own, points["active_blocks"]),
        "tokens": _knob("Output tokens", points["output_tokens"].map(_whole), points["output_tokens"]),
    }


def _knob(title: str, texts: pd.Series, size: pd.Series) -> JointKnob:
    texts = texts.fillna("not known").astype(str)
    sizes = pd.DataFrame({"text": texts, "size": pd.to_numeric(size)}).groupby("text")["size"].median()
    return JointKnob(title, texts, sizes.reset_index().sort_values(["size", "text"])["text"].tolist())


def _whole(value: object) -> str:
    return "not known" if value is None or pd.isna(value) else f"{float(value):g}"  # type: ignore[arg-type, call-overload]


def _crops_of_grid(grid: object) -> float:
    return float(np.prod([int(part) for part in grid.split("×")])) if isinstance(grid, str) else np.nan


def measures_of(result: JointResult) -> dict[str, str]:
    """What the cells of a run's heat map can show, by column or metric, and what it is called, unit included."""
    known = set(result.summary["metric"]) if not result.summary.empty else set()
    found = {metric: f"{METRIC_LABELS[metric]} (ms)" for metric in SHOWN if metric in known}
    return found | {name: title for name, title in QUALITY.items() if result.points[name].notna().any()}


def fullest(knobs: Mapping[str, JointKnob]) -> dict[str, str]:
    """Where some knobs stand in most points at once; of several such places the one of the largest values.

    Args:
        knobs: Those that are held, by their short names.
    """
    if not knobs:
        return {}
    places = pd.DataFrame({name: knob.texts.map(knob.order.index) for name, knob in knobs.items()})
    counts = places.value_counts().rename("points").reset_index()
    best = counts.sort_values(["points", *knobs]).iloc[-1]
    return {name: knob.order[int(best[name])] for name, knob in knobs.items()}


def combinations_of(knobs: Mapping[str, JointKnob]) -> int:
    """How many points there would be if each value of every knob met each of the others."""
    return math.prod(len(knob.order) for knob in knobs.values())


def heat_cells(result: JointResult, x: str, y: str, measure: str, held: Mapping[str, str]) -> pd.DataFrame:
    """A cell for each pair of values of two knobs.

    Args:
        result: The run.
        x: One knob, by its short name.
        y: Another.
        measure: As `measures_of`.
        held: The value of each other knob that varies, by its short name.

    Returns:
        `x`, `y`, `value` (NaN where there is none), `low`, `high` (95 % interval of a median), `n` (samples), `title`
        and `why` (why a cell is empty).
    """
    knobs, points = joint_knobs(result.points), result.points
    here = pd.Series(True, index=points.index)
    for name, value in held.items():
        here &= knobs[name].texts == value
    rows = pd.DataFrame({"x": knobs[x].texts, "y": knobs[y].texts, "title": points["label"]})[here]
    rows = rows.join(_values(result, measure))
    rows = rows.assign(failed=points["failed"]).drop_duplicates(["x", "y"])
    pairs = pd.MultiIndex.from_product([knobs[x].order, knobs[y].order], names=["x", "y"])
    cells = rows.set_index(["x", "y"]).reindex(pairs).reset_index()
    asked = cells["title"].notna()
    why = np.where(asked, cells["failed"].where(cells["failed"].notna(), "no sample yet"), "not among the settings")
    title = cells["title"].fillna(cells["x"] + " and " + cells["y"])
    return cells.assign(title=title, why=np.where(cells["value"].notna(), "", why)).drop(columns="failed")


def _values(result: JointResult, measure: str) -> pd.DataFrame:
    """The value of each point, with its interval where it is a median."""
    if measure in QUALITY:
        values = pd.to_numeric(result.points[measure])
        return pd.DataFrame({"value": values, "low": np.nan, "high": np.nan, "n": result.points["samples"]})
    rows = result.summary[result.summary["metric"] == measure].set_index("point")
    rows = rows.rename(columns={"median": "value"})
    return rows[["value", "low", "high", "n"]].astype(float)
