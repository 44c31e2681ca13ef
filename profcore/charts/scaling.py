"""FLOPs scaling: how latency and arithmetic grow with top-k."""

from __future__ import annotations

import altair as alt
import pandas as pd

from profcore.charts.base import DIGITS, HEIGHT, SCALING_COLOURS
from profcore.stats import METRIC_LABELS

_NAMES = {"measured": "measured latency", "theoretical": "FLOPs", "bytes": "bytes", "published": "published shortcut"}


def scaling(rows: pd.DataFrame, metric: str) -> alt.LayerChart:
    """A stage's growth over top-k, on logarithmic axes: measured, by FLOPs, by bytes, and by the published shortcut.

    Args:
        rows: As `scaling.flops_scaling`.
        metric: Which stage.
    """
    rows = rows[rows["metric"] == metric]
    base = int(rows["base"].iloc[0])
    start = pd.DataFrame({"top_k": [base] * len(_NAMES), "name": list(_NAMES.values()), "growth": 1.0})
    long = pd.concat(
        [start, *(rows[["top_k"]].assign(name=name, growth=rows[column]) for column, name in _NAMES.items())],
        ignore_index=True,
    )
    names = list(_NAMES.values())
    colour = alt.Color(
        "name:N",
        scale=alt.Scale(domain=names, range=SCALING_COLOURS),
        legend=alt.Legend(
            title=None, orient="top", symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1, columns=2
        ),
    )
    dash = alt.StrokeDash("name:N", scale=alt.Scale(domain=names, range=[[1, 0], [6, 3], [2, 3], [1, 3]]), legend=None)
    values = [base, *rows["top_k"].tolist()]
    x = alt.X(
        "top_k:Q",
        title="Top-k (experts per token)",
        scale=alt.Scale(type="log", base=2, nice=False, padding=14),
        axis=alt.Axis(values=values, format="d"),
    )
    title = f"{METRIC_LABELS[metric]}, times that at top-k {base}"
    scale = alt.Scale(type="log", base=2, nice=False, padding=14)
    axis = alt.Axis(values=[0.5, 1, 2, 4, 8, 16, 32, 64], format="~r")
    y = alt.Y("growth:Q", title=title, scale=scale, axis=axis)
    tooltip = [
        alt.Tooltip("name:N", title="By"),
        alt.Tooltip("top_k:Q", title="Top-k"),
        alt.Tooltip("growth:Q", title="Growth (×)", format=DIGITS),
    ]
    lines = (
        alt.Chart(long)
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=36, filled=True))
        .encode(x=x, y=y, color=colour, strokeDash=dash, tooltip=tooltip)
    )
    errors = (
        alt.Chart(rows.dropna(subset=["low", "high"]).assign(name=_NAMES["measured"], growth=rows["measured"]))
        .mark_errorbar(thickness=1.5)
        .encode(x=x, y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q", color=colour, tooltip=tooltip)
    )
    return alt.layer(lines, errors).properties(height=HEIGHT)
