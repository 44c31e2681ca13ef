"""A knob's sweep: stacked stages, one latency, decode steps by position."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import pandas as pd

from profcore.charts.base import (
    CLICKED,
    DIGITS,
    FLOOR_COLOUR,
    FLOOR_NAME,
    HEIGHT,
    LINE,
    STAGE_COLOURS,
    bound_named,
    clicked,
    error_bars,
    floor_marks,
    knob_axis,
    label_order,
    log_axis,
    tooltip_of,
    with_words,
)
from profcore.spec.stages import Stage
from profcore.stats import METRIC_LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.experiments.knobs import Experiment

_FEW_STEPS = 30


def breakdown(
    summary: pd.DataFrame,
    experiment: Experiment,
    stages: Sequence[Stage],
    line: str | None,
    settings: pd.DataFrame | None = None,
) -> alt.LayerChart:
    """Stacked bars of stage medians over the knob, with the median of their sum as a line, and the floor of the sum.

    Args:
        summary: As `Result.summary`.
        experiment: Whose knob is on the axis.
        stages: What is stacked, from below.
        line: 'ttft_ms' or 'total_ms', with its 95 % interval; None for no line.
        settings: As `Result.settings`: all that are planned have a place on the axis; those measured unless given.
    """
    bars, whole = stacked(summary, stages), bound_named(summary[summary["metric"] == line])
    labels = Labels(summary, settings)
    x, scale, title = labels.axis(experiment), alt.Scale(zero=True), "Latency (ms)"
    colour = _colours(stages, line, has_floor=bool((whole["floor_ms"] > 0).any()), symbol="square")
    layers: list[alt.Chart] = [
        alt.Chart(labels.on(bars), name=CLICKED)
        .mark_bar(cursor="pointer")
        .encode(
            x=x,
            y=alt.Y("start:Q", title=title, scale=scale),
            y2="end:Q",
            color=colour,
            tooltip=tooltip_of("stage:N", "Stage"),
        )
        .add_params(clicked())
    ]
    if line and not whole.empty:
        whole = labels.on(whole.assign(stage=METRIC_LABELS[line]))
        base = alt.Chart(whole).encode(x=x, color=colour, tooltip=tooltip_of("stage:N", "Sum"))
        layers += [
            base.mark_line(strokeWidth=2).encode(y=alt.Y("median:Q", title=title, scale=scale)),
            base.mark_point(filled=True, size=45, opacity=1).encode(y=alt.Y("median:Q", title=title, scale=scale)),
            error_bars(whole, x, title, scale),
            *floor_marks(whole, x, alt.Y("floor_ms:Q", title=title, scale=scale), colour, _floor_name(line)),
        ]
    return alt.layer(*layers, height=HEIGHT)


def stage_lines(
    summary: pd.DataFrame,
    experiment: Experiment,
    stages: Sequence[Stage],
    line: str | None,
    settings: pd.DataFrame | None = None,
) -> alt.LayerChart:
    """A line for each stage's median over the knob, and one for their sum, on a logarithmic axis.

    Lengths of bars mean nothing there, so nothing is stacked. Arguments as `breakdown`.
    """
    wanted = [stage.column for stage in stages] + ([line] if line else [])
    rows = bound_named(summary[summary["metric"].isin(wanted) & (summary["median"] > 0)])
    labels = Labels(summary, settings)
    rows = labels.on(rows.assign(stage=rows["metric"].map(METRIC_LABELS)))
    whole = rows[rows["metric"] == line]
    x, scale, title = labels.axis(experiment), alt.Scale(type="log", nice=False, padding=14), "Latency (ms, log scale)"
    colour = _colours(stages, line, has_floor=bool((whole["floor_ms"] > 0).any()), symbol="circle")
    y = alt.Y("median:Q", title=title, scale=scale, axis=log_axis(rows["median"]))
    base = alt.Chart(rows).encode(x=x, y=y, color=colour, tooltip=tooltip_of("stage:N", "Stage"))
    floors = floor_marks(whole, x, alt.Y("floor_ms:Q", title=title, scale=scale), colour, _floor_name(line), True)
    points = alt.Chart(rows, name=CLICKED).encode(x=x, y=y, color=colour, tooltip=tooltip_of("stage:N", "Stage"))
    layers = [
        *floors,
        base.mark_line(strokeWidth=2),
        points.mark_point(filled=True, size=60, opacity=1, cursor="pointer").add_params(clicked()),
        error_bars(rows, x, title, scale),
    ]
    return alt.layer(*layers, height=HEIGHT)


def panel(
    summary: pd.DataFrame, experiment: Experiment, metric: str, settings: pd.DataFrame | None = None
) -> alt.LayerChart:
    """Bars of one metric's median over the knob, with its 95 % interval and its floor.

    Args:
        summary: As `Result.summary`.
        experiment: Whose knob is on the axis.
        metric: A column of `stats.METRICS`.
        settings: As `breakdown`.
    """
    name = METRIC_LABELS[metric]
    labels = Labels(summary, settings)
    rows = labels.on(bound_named(summary[summary["metric"] == metric].assign(stage=name)))
    x, scale = labels.axis(experiment), alt.Scale(zero=True)
    unit = "ms per token" if metric == "tpot_ms" else "ms"
    title = f"{name} ({unit})"
    own = [stage for stage in Stage if stage.column == metric]
    colour = _colours(own, None if own else metric, bool((rows["floor_ms"] > 0).any()), symbol="square")
    bars = (
        alt.Chart(rows, name=CLICKED)
        .mark_bar(cursor="pointer")
        .encode(
            x=x,
            y=alt.Y("median:Q", title=title, scale=scale),
            color=colour,
            tooltip=tooltip_of("stage:N", "Stage"),
        )
        .add_params(clicked())
    )
    y = alt.Y("floor_ms:Q", title=title, scale=scale)
    floors = floor_marks(rows, x, y, colour, _floor_name(None if own else metric))
    return alt.layer(bars, error_bars(rows, x, title, scale), *floors, height=HEIGHT)


class Labels:
    """How settings are written on the axis: as they are, with their numbers of samples while these differ.

    Attributes:
        order: The settings' labels along the knob.
    """

    def __init__(self, summary: pd.DataFrame, settings: pd.DataFrame | None) -> None:
        planned = summary if settings is None else settings
        self.order = label_order(planned)
        counts = summary.groupby("label")["n"].max().reindex(self.order)
        taken = counts.fillna(0).astype(int)
        # A published summary says nothing of its samples.
        differ = counts.notna().any() and taken.nunique() > 1
        self._written = {label: f"{label}|n {taken[label]:,}" if differ else label for label in self.order}

    def axis(self, experiment: Experiment) -> alt.X:
        """A place for each setting, in the knob's order."""
        return knob_axis([self._written[label] for label in self.order], experiment.axis)

    def on(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows as a chart takes them: named as the axis names them, and with what tooltips say."""
        return with_words(rows.assign(label=rows["label"].map(self._written)))


def _colours(stages: Sequence[Stage], line: str | None, has_floor: bool, symbol: str) -> alt.Color:
    """The colour of each stage, of their sum and of the floor, and the legend that names them."""
    names = {stage.label: STAGE_COLOURS[stage] for stage in stages}
    if line:
        names[METRIC_LABELS[line]] = LINE
    if has_floor:
        names[_floor_name(line)] = FLOOR_COLOUR
    return alt.Color(
        "stage:N",
        scale=alt.Scale(domain=list(names), range=list(names.values())),
        legend=alt.Legend(title=None, orient="top", symbolType=symbol, columns=3, labelLimit=0),
    )


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
    axis = alt.Axis(tickMinStep=1, format="d", labelOverlap="greedy", labelSeparation=8)
    x = alt.X("position:Q", title="Position of the output token", axis=axis)
    # From zero: a step that is 1 % longer than another is to look so.
    scale = alt.Scale(zero=True)
    base = alt.Chart(frame)
    band = base.mark_area(opacity=0.15).encode(
        x=x,
        y=alt.Y("low:Q", title="Decode step (ms)", scale=scale),
        y2="high:Q",
        color=colour,
    )
    # Points crowd a long line, but a short one is hardly seen without.
    few = frame.empty or frame["position"].max() <= _FEW_STEPS
    lines = base.mark_line(strokeWidth=1.5, point=alt.OverlayMarkDef(size=30, filled=True) if few else False).encode(
        x=x,
        y=alt.Y("median:Q", title="Decode step (ms)", scale=scale),
        color=colour,
        tooltip=[
            alt.Tooltip("title:N", title=experiment.title),
            alt.Tooltip("position:Q", title="Output token"),
            alt.Tooltip("median:Q", title="Median (ms)", format=DIGITS),
            alt.Tooltip("low:Q", title="Lower quartile (ms)", format=DIGITS),
            alt.Tooltip("high:Q", title="Upper quartile (ms)", format=DIGITS),
            alt.Tooltip("n:Q", title="Samples"),
        ],
    )
    return alt.layer(band, lines, height=HEIGHT)


def _floor_name(line: str | None) -> str:
    """What a legend calls the floor: of what it is, where several latencies stand in a chart."""
    return f"{FLOOR_NAME} of {METRIC_LABELS[line]}" if line else FLOOR_NAME


def stacked(summary: pd.DataFrame, stages: Sequence[Stage]) -> pd.DataFrame:
    """Where each stage's part of a bar starts and ends; medians are stacked, a missing one has no part."""
    names = {stage.column: stage.label for stage in stages}
    rows = summary[summary["metric"].isin(names)].copy()
    rows["stage"] = rows["metric"].map(names)
    rows["order"] = rows["metric"].map({column: place for place, column in enumerate(names)})
    rows = rows.sort_values(["setting", "order"])
    rows["end"] = rows.groupby("setting")["median"].cumsum()
    rows["start"] = rows["end"] - rows["median"]
    return bound_named(rows)
