"""Engines side by side over a knob."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import pandas as pd

from profcore.charts.base import DASHED, ENGINE_COLOURS, HEIGHT, log_axis, number_axis, with_words
from profcore.stats import METRIC_LABELS

if TYPE_CHECKING:
    from profcore.experiments.knobs import Experiment


def engines(rows: pd.DataFrame, experiment: Experiment, metric: str, log: bool) -> alt.LayerChart:
    """One latency over a knob, a line for each engine with its medians' intervals; the floor and the published code.

    Args:
        rows: `x`, `mask`, `line`, `metric`, `median`, `low`, `high`, `n` and `engine`, as `SideBySide.rows`. Settings
            of equally many blocks stand above each other, and no line joins them.
        experiment: Whose knob is on the axis.
        metric: A column of `stats.METRICS`.
        log: Logarithmic axes of latency.
    """
    rows = with_words(rows[rows["metric"] == metric])
    if log:
        rows = rows[rows["median"] > 0]
    present = [name for name in ENGINE_COLOURS if name in set(rows["engine"])]
    unit = "ms per token" if metric == "tpot_ms" else "ms"
    scale = alt.Scale(type="log", nice=False, padding=12) if log else alt.Scale(zero=True)
    axis = log_axis(rows["median"]) if log else alt.Axis()
    x = number_axis(experiment, rows["x"])
    title = f"{METRIC_LABELS[metric]} ({unit})"
    y = alt.Y("median:Q", title=title, scale=scale, axis=axis)
    colour = alt.Color(
        "engine:N",
        sort=present,
        scale=alt.Scale(domain=present, range=[ENGINE_COLOURS[name] for name in present]),
        legend=alt.Legend(
            title=None, orient="top", symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1, columns=2, labelLimit=0
        ),
    )
    dash = alt.StrokeDash(
        "engine:N",
        scale=alt.Scale(domain=present, range=[[5, 4] if name in DASHED else [1, 0] for name in present]),
        legend=None,
    )
    tooltip = [
        alt.Tooltip("engine:N", title="Engine"),
        alt.Tooltip("x:Q", title=experiment.title),
        alt.Tooltip("said_median:N", title="Median (ms)"),
        alt.Tooltip("said_interval:N", title="95 % interval (ms)"),
        alt.Tooltip("said_n:N", title="Samples"),
    ]
    if rows["mask"].str.contains("01").any():
        tooltip.insert(2, alt.Tooltip("mask:N", title="Block mask"))
    base = alt.Chart(rows).encode(x=x, color=colour, tooltip=tooltip)
    known = alt.Chart(rows.dropna(subset=["low", "high"])).encode(x=x, color=colour, tooltip=tooltip)
    layers = [
        base.mark_line(strokeWidth=2).encode(y=y, strokeDash=dash, detail="line:N"),
        base.mark_point(filled=True, size=36, opacity=1).encode(y=y),
        known.mark_errorbar(thickness=1.5).encode(y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q"),
    ]
    return alt.layer(*layers).properties(height=HEIGHT)
