"""A knob's sweep: stacked stages, one latency, decode steps by position."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import pandas as pd

from profcore.charts.base import (
    DECADES,
    HEIGHT,
    LINE,
    LINES,
    SMALLEST_ON_LOG_MS,
    STAGE_COLOURS,
    bound_named,
    clicked,
    error_bars,
    floor_marks,
    label_order,
    tooltip_of,
)
from profcore.spec.stages import Stage
from profcore.stats import METRIC_LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.experiments.knobs import Experiment

_HEADROOM = 1.3
_FEW_STEPS = 30


def breakdown(
    summary: pd.DataFrame, experiment: Experiment, stages: Sequence[Stage], line: str | None, log: bool = False
) -> alt.LayerChart:
    """Stacked bars of stage medians over the knob, with the median of a sum as a line.

    Args:
        summary: As `Result.summary`.
        experiment: Whose knob is on the axis.
        stages: What is stacked, from below.
        line: 'ttft_ms' or 'total_ms', with its 95 % interval; None for no line.
        log: A logarithmic axis. Bars then start at a tenth of the smallest value, and only their tops can be read.
    """
    bars = _stack(summary, stages)
    tops = summary[summary["metric"] == line]
    order = label_order(summary)
    scale = alt.Scale(zero=True)
    if log and not bars.empty:
        positive = bars.loc[bars["end"] > 0, "end"]
        floor = max(float(positive.min()) / 10, SMALLEST_ON_LOG_MS) if len(positive) else SMALLEST_ON_LOG_MS
        bars = bars.assign(
            start=bars["start"].clip(lower=floor),
            end=bars["end"].clip(lower=floor),
            floor_end=bars["floor_end"].clip(lower=floor),
        )
        scale = alt.Scale(type="log", domain=[floor, float(bars["end"].max()) * _HEADROOM], nice=False)
    x = alt.X("label:N", sort=order, title=experiment.axis, axis=alt.Axis(labelAngle=0, labelExpr=LINES))
    title = "Latency (ms, log scale)" if log else "Latency (ms)"
    axis = alt.Axis(values=DECADES, format="~r") if log else alt.Axis()
    stage_names = [stage.label for stage in stages]
    colours = [STAGE_COLOURS[stage] for stage in stages]
    if line:
        stage_names.append(METRIC_LABELS[line])
        colours.append(LINE)
    colour = alt.Color(
        "stage:N",
        scale=alt.Scale(domain=stage_names, range=colours),
        legend=alt.Legend(title=None, orient="top", symbolType="square"),
    )
    layers: list[alt.Chart] = [
        alt.Chart(bars)
        .mark_bar(cursor="pointer")
        .encode(
            x=x,
            y=alt.Y("start:Q", title=title, scale=scale, axis=axis),
            y2="end:Q",
            color=colour,
            tooltip=tooltip_of("stage:N", "Stage"),
        )
        .add_params(clicked()),
        *floor_marks(bars, "floor_end", x, title, scale),
    ]
    if line and not tops.empty:
        tops = tops.assign(stage=METRIC_LABELS[line])
        base = alt.Chart(tops).encode(x=x, color=colour, tooltip=tooltip_of("stage:N", "Sum"))
        layers += [
            base.mark_line(strokeWidth=2).encode(y=alt.Y("median:Q", title=title, scale=scale)),
            base.mark_point(filled=True, size=45, opacity=1).encode(y=alt.Y("median:Q", title=title, scale=scale)),
            error_bars(tops, x, title, scale),
        ]
    return alt.layer(*layers).properties(height=HEIGHT)


def panel(summary: pd.DataFrame, experiment: Experiment, metric: str) -> alt.LayerChart:
    """Bars of one metric's median over the knob, with its 95 % interval.

    Args:
        summary: As `Result.summary`.
        experiment: Whose knob is on the axis.
        metric: A column of `stats.METRICS`.
    """
    rows = bound_named(summary[summary["metric"] == metric].assign(stage=METRIC_LABELS[metric]))
    colour = {stage.column: STAGE_COLOURS[stage] for stage in Stage}.get(metric, LINE)
    x = alt.X("label:N", sort=label_order(summary), title=experiment.axis, axis=alt.Axis(labelAngle=0, labelExpr=LINES))
    unit = "ms per token" if metric == "tpot_ms" else "ms"
    title = f"{METRIC_LABELS[metric]} ({unit})"
    scale = alt.Scale(zero=True)
    bars = (
        alt.Chart(rows)
        .mark_bar(color=colour, cursor="pointer")
        .encode(x=x, y=alt.Y("median:Q", title=title, scale=scale), tooltip=tooltip_of("stage:N", "Stage"))
        .add_params(clicked())
    )
    floors = floor_marks(rows, "floor_ms", x, title, scale)
    return alt.layer(bars, *floors, error_bars(rows, x, title, scale)).properties(height=HEIGHT)


def decode_steps(steps: pd.DataFrame, settings: pd.DataFrame, experiment: Experiment) -> alt.LayerChart:
    """Decode latency per step over the position of the token it gives, a line for each setting.

    Args:
        steps: As `Store.decode_steps`.
        settings: As `Result.settings`.
        experiment: Whose knob tells the lines apart.
    """
    frame = steps.merge(settings[["setting", "title", "label"]], on="setting")
    frame["label"] = frame["label"].str.replace("|", ", ")
    order = frame.sort_values("setting")["label"].drop_duplicates().tolist()
    colour = alt.Color(
        "label:N",
        sort=order,
        scale=alt.Scale(scheme="viridis", domain=order),
        legend=alt.Legend(
            title=experiment.axis,
            orient="top",
            symbolType="stroke",
            symbolStrokeWidth=3,
            symbolOpacity=1,
            columns=8,
            symbolLimit=0,
        ),
    )
    x = alt.X("position:Q", title="Position of the output token", axis=alt.Axis(tickMinStep=1, format="d"))
    base = alt.Chart(frame)
    band = base.mark_area(opacity=0.15).encode(
        x=x,
        y=alt.Y("low:Q", title="Decode step (ms)", scale=alt.Scale(zero=False)),
        y2="high:Q",
        color=colour,
    )
    # Points crowd a long line, but a short one is hardly seen without.
    few = frame.empty or frame["position"].max() <= _FEW_STEPS
    lines = base.mark_line(strokeWidth=1.5, point=alt.OverlayMarkDef(size=30, filled=True) if few else False).encode(
        x=x,
        y=alt.Y("median:Q", title="Decode step (ms)", scale=alt.Scale(zero=False)),
        color=colour,
        tooltip=[
            alt.Tooltip("title:N", title=experiment.title),
            alt.Tooltip("position:Q", title="Output token"),
            alt.Tooltip("median:Q", title="Median (ms)", format=",.3f"),
            alt.Tooltip("low:Q", title="Lower quartile (ms)", format=",.3f"),
            alt.Tooltip("high:Q", title="Upper quartile (ms)", format=",.3f"),
            alt.Tooltip("n:Q", title="Samples"),
        ],
    )
    return alt.layer(band, lines).properties(height=HEIGHT)


def _stack(summary: pd.DataFrame, stages: Sequence[Stage]) -> pd.DataFrame:
    """Where each stage's part of a bar starts and ends; medians are stacked, a missing one has no part."""
    names = {stage.column: stage.label for stage in stages}
    rows = summary[summary["metric"].isin(names)].copy()
    rows["stage"] = rows["metric"].map(names)
    rows["order"] = rows["metric"].map({column: place for place, column in enumerate(names)})
    rows = rows.sort_values(["setting", "order"])
    rows["end"] = rows.groupby("setting")["median"].cumsum()
    rows["start"] = rows["end"] - rows["median"]
    # A floor is marked inside its own stage's part of the bar.
    rows["floor_end"] = rows["start"] + rows["floor_ms"]
    return bound_named(rows)
