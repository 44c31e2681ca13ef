"""A run's stages under the roofline of its card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from profcore.roofline.points import COLUMNS, roofline_points
from profcore.spec.records import Ceilings
from profcore.stats.digits import written

if TYPE_CHECKING:
    from profcore.results.sweep import Result

THIS_RUN = "this run"


def result_points(result: Result, name: str = THIS_RUN) -> pd.DataFrame:
    """As `roofline_points`, with `run`, what it is called; empty where ceilings or the model's shape are not known."""
    if not result.ceilings or result.summary.empty or result.samples.empty:
        return pd.DataFrame(columns=[*COLUMNS, "run"])
    return roofline_points(result.summary, Ceilings(**result.ceilings)).assign(run=name)


def display_roofline(points: pd.DataFrame) -> pd.DataFrame:
    """The points as a table for people.

    Args:
        points: As `result_points`, of one run or several.
    """
    frame = pd.DataFrame({"run": points["run"], "setting": points["title"], "stage": points["stage"]})
    frame["GFLOP"] = [written(value / 1e9) for value in points["flops"]]
    frame["GB"] = [written(value / 1e9) for value in points["bytes"]]
    frame["median (ms)"] = [written(value) for value in points["ms"]]
    frame["FLOPs per byte"] = [written(value) for value in points["intensity"]]
    frame["TFLOP/s"] = [written(value / 1e12) for value in points["achieved"]]
    frame["ceiling (TFLOP/s)"] = [written(value / 1e12) for value in points["roof"]]
    frame["share (%)"] = [written(100 * value) for value in points["share"]]
    frame["it is"] = points["verdict"]
    return frame if points["run"].nunique() > 1 else frame.drop(columns="run")
