"""Frontiers and latency models as tables for people."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

import pandas as pd

from profcore.stats.digits import MISSING, written, written_interval
from profcore.tradeoff.latencies import METRICS, unit_of
from profcore.tradeoff.latency_model import extrapolation_errors
from profcore.tradeoff.points import KNOBS
from profcore.tradeoff.terms import STAGE_NAMES
from profcore.tradeoff.written_model import coefficient_rows

if TYPE_CHECKING:
    from profcore.tradeoff.frontier import Frontier
    from profcore.tradeoff.latency_model import LatencyModel

_UNSURE = 0.05


def display_frontier(found: Frontier) -> pd.DataFrame:
    """The settings on the frontier, and those that may be, the cheapest first."""
    table = found.table
    rows = (
        table[table["on_frontier"] | (table["share"] > _UNSURE)].sort_values(["latency", "quality"]).to_dict("records")
    )
    named = found.quality if found.quality == "kl" else f"{found.quality.replace('_', ' ')} (%)"
    scale = 1.0 if found.quality == "kl" else 100.0
    latency = f"{METRICS[found.metric]} ({unit_of(found.metric)})"
    return pd.DataFrame(
        {
            "setting": [row["label"] for row in rows],
            latency: [written(row["latency"]) for row in rows],
            "95 %": [written_interval(row["latency_low"], row["latency_high"]) for row in rows],
            named: [written(scale * row["quality"]) for row in rows],
            "95 % of it": [written_interval(scale * row["quality_low"], scale * row["quality_high"]) for row in rows],
            "on frontier": ["yes" if row["on_frontier"] else "no" for row in rows],
            "in draws": [MISSING if isnan(row["share"]) else f"{row['share']:.0%}" for row in rows],
        }
    )


def display_coefficients(model: LatencyModel) -> pd.DataFrame:
    """Every coefficient with its interval and unit."""
    return pd.DataFrame(coefficient_rows(model), columns=["stage", "term", "coefficient", "95 %", "unit"])


def display_extrapolation(model: LatencyModel) -> pd.DataFrame:
    """The errors on a knob's largest value of models fitted without it."""
    rows = [
        {
            "stage": STAGE_NAMES[metric],
            "largest left out of": KNOBS[knob],
            "settings": each.n,
            "median": f"{each.median:.1%}",
            "P95": f"{each.p95:.1%}",
        }
        for (metric, knob), each in extrapolation_errors(model).items()
    ]
    return pd.DataFrame(rows, columns=["stage", "largest left out of", "settings", "median", "P95"])
