"""A table of the best setting for each of some budgets, in the form of the source system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore.errors import UserError
from profcore.formats.text_files import json_text
from profcore.tradeoff.budget import LIMITED, competing
from profcore.tradeoff.latencies import METRICS
from profcore.tradeoff.points import check_quality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.tradeoff.points import JointPoints

STEPS = 8
TOLERANCE = 0.05
"""By how much a setting may exceed a budget and still answer it, as in the source system."""


def budgets_over(points: JointPoints, metric: str = "total_ms", percentile: float = 50) -> list[float]:
    """Eight budgets in equal steps from the fastest setting to the slowest, in milliseconds.

    Raises:
        UserError: No setting has that latency.
    """
    latencies = points.latencies.percentiles(metric, percentile)
    if np.isnan(latencies).all():
        raise UserError(f"No setting of this run has a {METRICS[metric]}: look up another latency.")
    return np.linspace(np.nanmin(latencies), np.nanmax(latencies), STEPS).tolist()


def lookup_table(
    points: JointPoints,
    budgets: Sequence[float],
    metric: str = "total_ms",
    percentile: float = 50,
    quality: str | None = None,
) -> pd.DataFrame:
    """The best measured setting for each budget: `budget` and the columns of the source system's table.

    A setting answers a budget that it exceeds by at most 5 %. A budget below every setting has no row.

    Args:
        points: As `joint_points`.
        budgets: In milliseconds.
        metric: Of `budget.LIMITED`.
        percentile: Of the latency.
        quality: As `budget.choose_setting`; `accuracy` stays empty where that is work kept.
    """
    if metric not in LIMITED:
        raise ValueError(f"a budget is of one of {LIMITED}")
    quality = check_quality(points, quality or points.qualities[0])
    rows = competing(points, percentile, quality, None)
    value = rows["value"].to_numpy() * (-1.0 if quality == "kl" else 1.0)
    latency, found = rows[metric].to_numpy(), []
    for budget in budgets:
        meets = np.flatnonzero(latency <= budget * (1 + TOLERANCE))
        if meets.size:
            best = meets[np.lexsort((latency[meets], -value[meets]))[0]]
            found.append({"budget": float(budget), **_entry(points, rows.iloc[best], metric, float(latency[best]))})
    return pd.DataFrame(found)


def lookup_json(table: pd.DataFrame) -> str:
    """The table as the source system keeps it: each setting once, in the order of its latency."""
    if table.empty:
        return json_text([], indent=2)
    entries = table.drop(columns=["budget", "label"]).sort_values("latency").to_dict("records")
    return json_text(list({json_text(entry): entry for entry in entries}.values()), indent=2)


def _entry(points: JointPoints, row: pd.Series, metric: str, latency: float) -> dict[str, Any]:
    place = int(row["place"])
    scores, accuracy = row.get("scores"), row["accuracy"]
    values = points.latencies.of(metric)[place]
    # Before there were tiers the source system's files said the crops in their place.
    bounded = not pd.isna(row["most_crops"])
    crops = _whole(row["most_crops"]) if bounded else _whole(row["num_crops"], 1)
    picture = {"tier": row["tier"]} if isinstance(row["tier"], str) else {"max_crops": crops}
    return {
        **picture,
        "top_k": _whole(row["top_k"]),
        "num_active_blocks": _whole(row["active_blocks"]),
        "accuracy": None if pd.isna(accuracy) else float(accuracy),
        "latency": latency,
        "num_samples": int(values.size),
        "accuracy_std": float(np.std(scores)) if isinstance(scores, (list, np.ndarray)) and len(scores) else None,
        "latency_std": float(np.std(values, ddof=1)) if values.size > 1 else None,
        "label": row["label"],
    }


def _whole(value: float, less: int = 0) -> int | None:
    """A whole number, `less` where the global view is not counted."""
    return None if pd.isna(value) else int(value) - less
