"""Frames to charts: the only place that knows colours and what is written on axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd

from profcore.comparison import PUBLISHED
from profcore.spec import Stage
from profcore.stats import METRIC_LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.experiments import Experiment

# Okabe & Ito's palette (2008): told apart with any colour vision, on a light and a dark ground.
STAGE_COLOURS = {
    Stage.VISION_ENCODER: "#0072B2",
    Stage.PROJECTOR: "#56B4E9",
    Stage.LLM_PREFILL: "#E69F00",
    Stage.LLM_DECODE: "#D55E00",
    Stage.OTHER: "#999999",
}
_LINE = "#CC79A7"
_FLOOR_INSIDE, _FLOOR_AROUND = "#ffffff", "#1a1a1a"
_ERROR = "#7f8794"
FLOOR = "floor"
"""How comparisons call the physical floor, beside the engines."""

_ENGINE_COLOURS = {
    "eager": "#D55E00",
    "graph": "#0072B2",
    "compiled": "#009E73",
    FLOOR: "#CC79A7",
    PUBLISHED: "#999999",
}
_DASHED = (FLOOR, PUBLISHED)
_PART_COLOURS = {
    "attention": "#0072B2",
    "router": "#CC79A7",
    "experts": "#D55E00",
    "mlp": "#E69F00",
    "norms": "#009E73",
    "other": "#56B4E9",
    "waiting": "#bdbdbd",
}
_HEIGHT = 380
_SMALLEST_ON_LOG_MS = 0.1
_HEADROOM = 1.3
_FEW_STEPS = 30
CLICK = "bar"
"""Name of the selection that a click on a bar makes; it gives the bar's `setting`."""

_DECADES = [factor * 10**power for power in range(-3, 6) for factor in (1, 3)]

# Vega breaks a label into lines where it is an array.
_LINES = "split(datum.label, '|')"


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
    order = _order(summary)
    scale = alt.Scale(zero=True)
    if log and not bars.empty:
        positive = bars.loc[bars["end"] > 0, "end"]
        floor = max(float(positive.min()) / 10, _SMALLEST_ON_LOG_MS) if len(positive) else _SMALLEST_ON_LOG_MS
        bars = bars.assign(
            start=bars["start"].clip(lower=floor),
            end=bars["end"].clip(lower=floor),
            floor_end=bars["floor_end"].clip(lower=floor),
        )
        scale = alt.Scale(type="log", domain=[floor, float(bars["end"].max()) * _HEADROOM], nice=False)
    x = alt.X("label:N", sort=order, title=experiment.axis, axis=alt.Axis(labelAngle=0, labelExpr=_LINES))
    title = "Latency (ms, log scale)" if log else "Latency (ms)"
    axis = alt.Axis(values=_DECADES, format="~r") if log else alt.Axis()
    stage_names = [stage.label for stage in stages]
    colours = [STAGE_COLOURS[stage] for stage in stages]
    if line:
        stage_names.append(METRIC_LABELS[line])
        colours.append(_LINE)
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
            tooltip=_tooltip("stage:N", "Stage"),
        )
        .add_params(_clicked()),
        *_floor_marks(bars, "floor_end", x, title, scale),
    ]
    if line and not tops.empty:
        tops = tops.assign(stage=METRIC_LABELS[line])
        base = alt.Chart(tops).encode(x=x, color=colour, tooltip=_tooltip("stage:N", "Sum"))
        layers += [
            base.mark_line(strokeWidth=2).encode(y=alt.Y("median:Q", title=title, scale=scale)),
            base.mark_point(filled=True, size=45, opacity=1).encode(y=alt.Y("median:Q", title=title, scale=scale)),
            _error_bars(tops, x, title, scale),
        ]
    return alt.layer(*layers).properties(height=_HEIGHT)


def panel(summary: pd.DataFrame, experiment: Experiment, metric: str) -> alt.LayerChart:
    """Bars of one metric's median over the knob, with its 95 % interval.

    Args:
        summary: As `Result.summary`.
        experiment: Whose knob is on the axis.
        metric: A column of `stats.METRICS`.
    """
    rows = _bound_named(summary[summary["metric"] == metric].assign(stage=METRIC_LABELS[metric]))
    colour = {stage.column: STAGE_COLOURS[stage] for stage in Stage}.get(metric, _LINE)
    x = alt.X("label:N", sort=_order(summary), title=experiment.axis, axis=alt.Axis(labelAngle=0, labelExpr=_LINES))
    unit = "ms per token" if metric == "tpot_ms" else "ms"
    title = f"{METRIC_LABELS[metric]} ({unit})"
    scale = alt.Scale(zero=True)
    bars = (
        alt.Chart(rows)
        .mark_bar(color=colour, cursor="pointer")
        .encode(x=x, y=alt.Y("median:Q", title=title, scale=scale), tooltip=_tooltip("stage:N", "Stage"))
        .add_params(_clicked())
    )
    floors = _floor_marks(rows, "floor_ms", x, title, scale)
    return alt.layer(bars, *floors, _error_bars(rows, x, title, scale)).properties(height=_HEIGHT)


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
    return alt.layer(band, lines).properties(height=_HEIGHT)


def engines(rows: pd.DataFrame, experiment: Experiment, metric: str, log: bool) -> alt.LayerChart:
    """One latency over a knob, a line for each engine with its medians' intervals; the floor and the published code.

    Args:
        rows: `x`, `metric`, `median`, `low`, `high`, `n` and `engine`, as `comparison` gives them.
        experiment: Whose knob is on the axis.
        metric: A column of `stats.METRICS`.
        log: Logarithmic axes of latency.
    """
    rows = rows[rows["metric"] == metric]
    if log:
        rows = rows[rows["median"] > 0]
    present = [name for name in _ENGINE_COLOURS if name in set(rows["engine"])]
    unit = "ms per token" if metric == "tpot_ms" else "ms"
    scale = alt.Scale(type="log", nice=False, padding=12) if log else alt.Scale(zero=True)
    axis = alt.Axis(values=_DECADES, format="~r") if log else alt.Axis()
    x = alt.X("x:Q", title=experiment.axis, scale=alt.Scale(zero=False, nice=False, padding=12))
    title = f"{METRIC_LABELS[metric]} ({unit})"
    y = alt.Y("median:Q", title=title, scale=scale, axis=axis)
    colour = alt.Color(
        "engine:N",
        sort=present,
        scale=alt.Scale(domain=present, range=[_ENGINE_COLOURS[name] for name in present]),
        legend=alt.Legend(
            title=None, orient="top", symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1, columns=2, labelLimit=0
        ),
    )
    dash = alt.StrokeDash(
        "engine:N",
        scale=alt.Scale(domain=present, range=[[5, 4] if name in _DASHED else [1, 0] for name in present]),
        legend=None,
    )
    tooltip = [
        alt.Tooltip("engine:N", title="Engine"),
        alt.Tooltip("x:Q", title=experiment.title),
        alt.Tooltip("median:Q", title="Median (ms)", format=",.4f"),
        alt.Tooltip("low:Q", title="95 % interval from (ms)", format=",.4f"),
        alt.Tooltip("high:Q", title="to (ms)", format=",.4f"),
        alt.Tooltip("n:Q", title="Samples"),
    ]
    base = alt.Chart(rows).encode(x=x, color=colour, tooltip=tooltip)
    known = alt.Chart(rows.dropna(subset=["low", "high"])).encode(x=x, color=colour, tooltip=tooltip)
    layers = [
        base.mark_line(strokeWidth=2).encode(y=y, strokeDash=dash),
        base.mark_point(filled=True, size=36, opacity=1).encode(y=y),
        known.mark_errorbar(thickness=1.5).encode(y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q"),
    ]
    return alt.layer(*layers).properties(height=_HEIGHT)


def parts(profile: dict[str, Any]) -> alt.LayerChart:
    """A bar for each stage of a profiled setting: time in kernels by part, and the rest, in which the device waits.

    Args:
        profile: As `measure.profile.explain` gives it.
    """
    rows, marks = [], []
    for stage in profile["stages"]:
        label = Stage(stage["stage"]).label
        if stage["stage"] == Stage.LLM_DECODE:
            label += f"|{profile['steps']} steps"
        own = [part for part in profile["parts"] if part["stage"] == stage["stage"]]
        waiting = max(stage["measured_ms"] - sum(part["ms"] for part in own), 0.0)
        at = 0.0
        for part in (*own, {"part": "waiting", "ms": waiting, "kernels": 0}):
            share = part["ms"] / stage["measured_ms"]
            end = at + part["ms"]
            rows.append({"label": label, "share": share, "start": at, "end": end, **part})
            at = end
        marks.append({"label": label, "floor_ms": stage["floor_ms"]})
    order = [mark["label"] for mark in marks]
    present = [part for part in _PART_COLOURS if any(row["part"] == part and row["ms"] for row in rows)]
    y = alt.Y("label:N", sort=order, title=None, axis=alt.Axis(labelExpr=_LINES, labelLimit=120))
    bars = (
        alt.Chart(pd.DataFrame(rows))
        .mark_bar()
        .encode(
            y=y,
            x=alt.X("start:Q", title="Time (ms)"),
            x2="end:Q",
            color=alt.Color(
                "part:N",
                scale=alt.Scale(domain=present, range=[_PART_COLOURS[part] for part in present]),
                legend=alt.Legend(title=None, orient="top", symbolType="square"),
            ),
            tooltip=[
                alt.Tooltip("part:N", title="Part"),
                alt.Tooltip("ms:Q", title="Time (ms)", format=",.3f"),
                alt.Tooltip("share:Q", title="Share of the stage", format=".0%"),
                alt.Tooltip("kernels:Q", title="Kernels"),
            ],
        )
    )
    base = alt.Chart(pd.DataFrame(marks)).encode(
        y=y, x="floor_ms:Q", tooltip=[alt.Tooltip("floor_ms:Q", title="Floor (ms)", format=",.3f")]
    )
    floors = [
        base.mark_tick(thickness=thickness, color=colour, opacity=1, orient="vertical", bandSize=34)
        for thickness, colour in ((4, _FLOOR_AROUND), (2, _FLOOR_INSIDE))
    ]
    return alt.layer(bars, *floors).properties(height=70 * len(order) + 60)


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
    return _bound_named(rows)


def _bound_named(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(binds=rows["binds"].fillna("not known"))


def is_clickable(chart: alt.LayerChart) -> bool:
    """Whether a click on the chart's bars selects their setting."""
    return chart.params is not alt.Undefined and any(parameter.name == CLICK for parameter in chart.params)


def _clicked() -> alt.Parameter:
    """A click on a bar, which names its setting."""
    return alt.selection_point(name=CLICK, fields=["setting"], toggle=False)


def _floor_marks(rows: pd.DataFrame, field: str, x: alt.X, title: str, scale: alt.Scale) -> list[alt.Chart]:
    """Where each stage's floor lies, as a line that is seen on any colour and ground."""
    known = rows.dropna(subset=[field])
    known = known[known["floor_ms"] > 0]
    if known.empty:
        return []
    base = alt.Chart(known).encode(
        x=x, y=alt.Y(f"{field}:Q", title=title, scale=scale), tooltip=_tooltip("stage:N", "Floor of")
    )
    return [
        base.mark_tick(thickness=thickness, color=colour, opacity=1, orient="horizontal", bandSize=24)
        for thickness, colour in ((4, _FLOOR_AROUND), (2, _FLOOR_INSIDE))
    ]


def _order(summary: pd.DataFrame) -> list[str]:
    return summary.sort_values(["x", "setting"])["label"].drop_duplicates().tolist()


def _error_bars(rows: pd.DataFrame, x: alt.X, title: str, scale: alt.Scale) -> alt.Chart:
    known = rows.dropna(subset=["low", "high"])
    return (
        alt.Chart(known)
        .mark_errorbar(ticks=alt.MarkConfig(size=8), color=_ERROR, thickness=1.5)
        .encode(x=x, y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q", tooltip=_tooltip("stage:N", "Stage"))
    )


def _tooltip(field: str, title: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("title:N", title="Setting"),
        alt.Tooltip(field, title=title),
        alt.Tooltip("median:Q", title="Median (ms)", format=",.3f"),
        alt.Tooltip("low:Q", title="95 % interval from (ms)", format=",.3f"),
        alt.Tooltip("high:Q", title="to (ms)", format=",.3f"),
        alt.Tooltip("n:Q", title="Samples"),
        alt.Tooltip("floor_ms:Q", title="Floor (ms)", format=",.3f"),
        alt.Tooltip("over_floor:Q", title="Median / floor", format=",.2f"),
        alt.Tooltip("binds:N", title="Bound by"),
    ]
