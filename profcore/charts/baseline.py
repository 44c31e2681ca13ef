"""The medians of another run of the same knob, laid over a chart of a sweep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from profcore.charts.base import FLOOR_EDGE, bound_named, tooltip_of
from profcore.charts.sweep import Labels

if TYPE_CHECKING:
    from profcore.results.sweep import Result

COLOUR = "#009E73"
"""Of no stage, floor or line of a sweep's charts."""


def lay_over(chart: alt.LayerChart, result: Result, baseline: Result, metric: str, name: str) -> alt.LayerChart:
    """A chart with diamonds at a baseline's medians, with their 95 % intervals, at the settings that both have.

    Args:
        chart: As `charts.sweep` draws it of the run.
        result: The run.
        baseline: Another of the same experiment.
        metric: What is laid over: the latency that the chart is about.
        name: What the legend calls the baseline.
    """
    labels = Labels(result.summary, result.settings)
    rows = baseline.summary[(baseline.summary["metric"] == metric) & baseline.summary["label"].isin(labels.order)]
    if rows.empty:
        return chart
    rows = labels.on(bound_named(rows.assign(stage=name)))
    # The axis is the chart's own: two kinds of scale on one would not do.
    own = chart.layer[0].encoding.y
    title, scale = own["title"], own["scale"]
    # At the bottom, where no other legend takes its room.
    legend = alt.Legend(
        title=None, orient="bottom", labelLimit=0, symbolFillColor=COLOUR, symbolStrokeColor=COLOUR, symbolSize=90
    )
    shape = alt.Shape("stage:N", scale=alt.Scale(domain=[name], range=["diamond"]), legend=legend)
    tooltip = tooltip_of("stage:N", "Run")[:5]
    x = labels.axis(result.experiment)
    bars = alt.Chart(rows.dropna(subset=["low", "high"])).mark_rule(color=COLOUR, strokeWidth=2)
    points = alt.Chart(rows).mark_point(filled=True, size=90, opacity=1, color=COLOUR, stroke=FLOOR_EDGE)
    laid = chart + bars.encode(x=x, y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q", tooltip=tooltip)
    laid += points.encode(x=x, y=alt.Y("median:Q", title=title, scale=scale), shape=shape, tooltip=tooltip)
    return laid.resolve_scale(shape="independent")
