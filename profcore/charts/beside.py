"""A knob's sweep and real pictures on the same axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from profcore.charts.base import HEIGHT, SERIES_COLOURS, with_words
from profcore.charts.tokens import TokenAxes, circles, intervals, median_tooltip
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
    axes = TokenAxes(experiment.title, f"{METRIC_LABELS[metric]} (ms)", log)
    medians = with_words(found.medians[found.medians["metric"] == metric])
    points = found.points[found.points["metric"] == metric]
    if log:
        medians, points = medians[medians["median"] > 0], points[points["value"] > 0]
    colour = _by_run(list(found.names.values()))
    run = alt.Tooltip("name:N", title="Run")
    tooltip = median_tooltip(axes, run, "Samples or pictures")
    marks = (
        alt.Chart(medians)
        .mark_point(filled=True, size=50, opacity=1, shape="diamond")
        .encode(x=axes.x, y=axes.y("median"), color=colour, tooltip=tooltip)
    )
    layers: list[alt.Chart] = [
        circles(points, axes, colour, [run, alt.Tooltip("title:N", title="Picture")]),
        intervals(medians, axes, colour, tooltip),
        marks,
    ]
    if not log:
        lines = alt.Chart(found.lines[found.lines["metric"] == metric]).mark_line(strokeWidth=1.5, clip=True)
        layers.append(lines.encode(x=axes.x, y=axes.y("y"), color=colour))
    return alt.layer(*layers).properties(height=HEIGHT)


def _by_run(names: list[str]) -> alt.Color:
    """A colour for each run, the sweep's first."""
    legend = alt.Legend(
        title=None, orient="top", symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1, columns=1, labelLimit=0
    )
    return alt.Color("name:N", scale=alt.Scale(domain=names, range=SERIES_COLOURS[: len(names)]), legend=legend)
