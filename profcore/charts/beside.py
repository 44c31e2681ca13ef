"""A knob's sweep and real pictures on the same axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from profcore.charts.base import DECADES, HEIGHT, SERIES_COLOURS
from profcore.stats import METRIC_LABELS

if TYPE_CHECKING:
    from profcore.comparisons.sweep_and_pictures import Beside
    from profcore.experiments.knobs import Experiment


def beside(found: Beside, experiment: Experiment, metric: str, log: bool = False) -> alt.LayerChart:
    """One latency: the sweep's medians with their intervals, every picture, and the fitted line of each.

    Args:
        found: As `beside.set_beside`.
        experiment: Whose knob is on the axis.
        metric: A column of `stats.METRICS`.
        log: Logarithmic axes, on which straight lines are not drawn.
    """
    names = list(dict.fromkeys(found.slopes["name"]))
    medians = found.medians[found.medians["metric"] == metric]
    points = found.points[found.points["metric"] == metric]
    lines = found.lines[found.lines["metric"] == metric]
    if log:
        medians, points = medians[medians["median"] > 0], points[points["value"] > 0]
    x_scale = alt.Scale(type="log", base=2, nice=False, padding=14) if log else alt.Scale(zero=False, padding=14)
    y_scale = alt.Scale(type="log", nice=False, padding=14) if log else alt.Scale(zero=True)
    y_axis = alt.Axis(values=DECADES, format="~r") if log else alt.Axis()
    x_axis = alt.Axis(format="d") if log else alt.Axis()
    x_title = experiment.title
    x = alt.X("x:Q", title=x_title, scale=x_scale, axis=x_axis)
    title = f"{METRIC_LABELS[metric]} (ms)"
    colour = alt.Color(
        "name:N",
        scale=alt.Scale(domain=names, range=SERIES_COLOURS[: len(names)]),
        legend=alt.Legend(
            title=None, orient="top", symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1, columns=1, labelLimit=0
        ),
    )
    circles = (
        alt.Chart(points)
        .mark_circle(size=30, opacity=0.4)
        .encode(
            x=x,
            y=alt.Y("value:Q", title=title, scale=y_scale, axis=y_axis),
            color=colour,
            tooltip=[
                alt.Tooltip("name:N", title="Run"),
                alt.Tooltip("title:N", title="Picture"),
                alt.Tooltip("x:Q", title=x_title),
                alt.Tooltip("value:Q", title="Median (ms)", format=",.3f"),
            ],
        )
    )
    tooltip = [
        alt.Tooltip("name:N", title="Run"),
        alt.Tooltip("x:Q", title=x_title),
        alt.Tooltip("median:Q", title="Median (ms)", format=",.3f"),
        alt.Tooltip("low:Q", title="95 % interval from (ms)", format=",.3f"),
        alt.Tooltip("high:Q", title="to (ms)", format=",.3f"),
        alt.Tooltip("n:Q", title="Samples or pictures"),
    ]
    marks = (
        alt.Chart(medians)
        .mark_point(filled=True, size=50, opacity=1, shape="diamond")
        .encode(x=x, y=alt.Y("median:Q", title=title, scale=y_scale), color=colour, tooltip=tooltip)
    )
    errors = (
        alt.Chart(medians.dropna(subset=["low", "high"]))
        .mark_errorbar(thickness=1.5)
        .encode(x=x, y=alt.Y("low:Q", title=title, scale=y_scale), y2="high:Q", color=colour, tooltip=tooltip)
    )
    layers: list[alt.Chart] = [circles, errors, marks]
    if not log:
        fitted = alt.Chart(lines).mark_line(strokeWidth=1.5, clip=True)
        layers.append(fitted.encode(x=x, y=alt.Y("y:Q", title=title, scale=y_scale), color=colour))
    return alt.layer(*layers).properties(height=HEIGHT)
