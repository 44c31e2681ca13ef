"""Motivation runs: what pictures cost, over tokens, by component and against FLOPs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import pandas as pd

from profcore.charts.base import (
    COMPONENT_COLOURS,
    DIGITS,
    ERROR,
    HEIGHT,
    INK,
    LINE,
    STAGE_COLOURS,
    SUM_COLOUR,
    log_axis,
    with_words,
)
from profcore.charts.tokens import TokenAxes, circles, intervals, median_tooltip
from profcore.spec.stages import MODEL_STAGES, TTFT_STAGES, Stage
from profcore.stats import METRIC_LABELS, PREPROCESSING, SMALLEST_FOR_P95, SMALLEST_FOR_P99, median_interval, percentile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.roofline.parameters import Parameters

_FEWEST_BINS, _MOST_BINS = 20, 60
_MOST_STEPS = 500
# Room for the names of three percentiles above the highest bar, as a share of it.
_ABOVE_BARS = 0.25
_MOST_POINTS = 2000
_A_ROW = 3
"""Names of a legend beside each other: a fourth is cut off on a telephone."""
_AXES = {
    "num_vision_tokens": "Vision tokens",
    "num_output_tokens": "Output tokens",
    "num_input_tokens": "Prompt tokens, image tokens included",
}


def histogram(values: np.ndarray, what: str = "Latency (ms)") -> alt.LayerChart:
    """How often each latency occurs, with the percentiles that the samples support.

    Bins have the width of Freedman & Diaconis (1981), within 20 and 60 of them: latencies of tiled pictures come in
    clusters, which few wide bins would hide.
    """
    values = values[~np.isnan(values)]
    wanted = len(np.histogram_bin_edges(values, "fd")) - 1 if values.size else 1
    counts, edges = np.histogram(values, int(np.clip(wanted, _FEWEST_BINS, _MOST_BINS)))
    bins = pd.DataFrame({"start": edges[:-1], "end": edges[1:], "samples": counts, "ground": 0})
    bins = bins[bins["samples"] > 0]
    most = int(counts.max()) * (1 + _ABOVE_BARS) if values.size else 1
    bars = (
        alt.Chart(bins)
        .mark_bar(color=SUM_COLOUR, stroke="white", strokeWidth=0.5)
        .encode(
            x=alt.X("start:Q", title=what, scale=alt.Scale(zero=False)),
            x2="end:Q",
            y=alt.Y("samples:Q", title="Samples", scale=alt.Scale(domain=[0, most], nice=False)),
            y2="ground:Q",
            tooltip=[
                alt.Tooltip("start:Q", title="From (ms)", format=DIGITS),
                alt.Tooltip("end:Q", title="to (ms)", format=DIGITS),
                alt.Tooltip("samples:Q", title="Samples"),
            ],
        )
    )
    return alt.layer(bars, *_percentile_lines(values, what)).properties(height=HEIGHT)


def cumulative(values: np.ndarray, what: str = "Latency (ms)") -> alt.LayerChart:
    """The share of samples that take at most some latency, with the percentiles that the samples support."""
    ordered = np.sort(values[~np.isnan(values)])
    share = np.arange(1, ordered.size + 1) / max(ordered.size, 1)
    kept: Any = np.unique(np.linspace(0, max(ordered.size - 1, 0), _MOST_STEPS).astype(int)) if ordered.size else []
    steps = pd.DataFrame({"latency": ordered[kept], "share": share[kept]}) if ordered.size else _NO_STEPS
    line = (
        alt.Chart(steps)
        .mark_line(color=SUM_COLOUR, interpolate="step-after", strokeWidth=2)
        .encode(
            x=alt.X("latency:Q", title=what, scale=alt.Scale(zero=False)),
            y=alt.Y("share:Q", title="Share of samples", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            tooltip=[
                alt.Tooltip("latency:Q", title=what, format=DIGITS),
                alt.Tooltip("share:Q", title="Share at most that long", format=".1%"),
            ],
        )
    )
    return alt.layer(line, *_percentile_lines(ordered, what)).properties(height=HEIGHT)


_NO_STEPS = pd.DataFrame({"latency": [], "share": []})


def _percentile_lines(values: np.ndarray, what: str) -> list[alt.Chart]:
    ordered = np.sort(values)
    least = {50: 1, 95: SMALLEST_FOR_P95, 99: SMALLEST_FOR_P99}
    shown = [(f"P{share}", percentile(ordered, share)) for share, needed in least.items() if ordered.size >= needed]
    if not shown:
        return []
    marks = pd.DataFrame(shown, columns=["name", "latency"])
    # One above the other, since high percentiles lie close together.
    marks["place"] = 6 + 18 * marks.index
    x = alt.X("latency:Q", title=what)
    tooltip = [alt.Tooltip("name:N", title="Percentile"), alt.Tooltip("latency:Q", title=what, format=DIGITS)]
    rules = alt.Chart(marks).mark_rule(color=LINE, strokeWidth=2, strokeDash=[5, 4]).encode(x=x, tooltip=tooltip)
    labels = (
        alt.Chart(marks)
        .mark_text(align="right", dx=-4, color=INK, fontWeight="bold")
        .encode(x=x, y=alt.Y("place:Q", scale=None, axis=None), text="name:N", tooltip=tooltip)
    )
    return [rules, labels]


def parameter_bars(parameters: Sequence[Parameters]) -> alt.LayerChart:
    """Parameters of each component: those that one token uses, and the rest."""
    rows = []
    for each in parameters:
        for part, number in (("used by a token", each.active), ("other experts", each.total - each.active)):
            rows.append({"component": each.component, "part": part, "number": number, "total": each.total})
    frame = pd.DataFrame(rows)
    order = [each.component for each in parameters]
    y = alt.Y("component:N", sort=order, title=None, axis=alt.Axis(labelLimit=160))
    bars = (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            y=y,
            x=alt.X(
                "number:Q",
                title="Parameters",
                stack="zero",
                # Thousand millions are a billion here, not a giga.
                axis=alt.Axis(format="~s", labelExpr="replace(datum.label, 'G', ' B')"),
            ),
            color=alt.Color(
                "part:N",
                scale=alt.Scale(domain=list(COMPONENT_COLOURS), range=list(COMPONENT_COLOURS.values())),
                legend=alt.Legend(title=None, orient="top", symbolType="square"),
            ),
            order=alt.Order("part:N", sort="descending"),
            tooltip=[
                alt.Tooltip("component:N", title="Component"),
                alt.Tooltip("part:N", title="Part"),
                alt.Tooltip("number:Q", title="Parameters", format=","),
                alt.Tooltip("total:Q", title="of", format=","),
            ],
        )
    )
    return alt.layer(bars).properties(height=34 * len(order) + 40)


def component_bars(points: pd.DataFrame) -> alt.LayerChart:
    """Median latency of each component up to the first token, and of the preprocessing before, with intervals."""
    names = {PREPROCESSING: METRIC_LABELS[PREPROCESSING], **{stage.column: stage.label for stage in TTFT_STAGES}}
    rows = []
    for column, name in names.items():
        if column in points and points[column].notna().any():
            found = median_interval(points[column].to_numpy(dtype=float))
            rows.append([name, found.value, found.low, found.high, found.n])
    frame = with_words(pd.DataFrame(rows, columns=["component", "median", "low", "high", "n"]))
    colours = {METRIC_LABELS[PREPROCESSING]: STAGE_COLOURS[Stage.OTHER]} | {
        stage.label: STAGE_COLOURS[stage] for stage in TTFT_STAGES
    }
    y = alt.Y("component:N", sort=list(names.values()), title=None, axis=alt.Axis(labelLimit=160))
    tooltip = [
        alt.Tooltip("component:N", title="Component"),
        alt.Tooltip("said_median:N", title="Median (ms)"),
        alt.Tooltip("said_interval:N", title="95 % interval (ms)"),
        alt.Tooltip("n:Q", title="Pictures and questions"),
    ]
    bars = (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            y=y,
            x=alt.X("median:Q", title="Latency (ms), median over pictures"),
            color=alt.Color(
                "component:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None
            ),
            tooltip=tooltip,
        )
    )
    errors = (
        alt.Chart(frame.dropna(subset=["low", "high"]))
        .mark_errorbar(ticks=alt.MarkConfig(size=8), color=ERROR, thickness=1.5)
        .encode(y=y, x=alt.X("low:Q", title="Latency (ms), median over pictures"), x2="high:Q", tooltip=tooltip)
    )
    return alt.layer(bars, errors).properties(height=46 * max(len(frame), 1) + 40)


def over_tokens(points: pd.DataFrame, column: str, metrics: Sequence[str], log: bool = False) -> alt.LayerChart:
    """Latencies of every picture over its tokens, and the medians of those with the same number.

    Args:
        points: As `PictureResult.points`; at most 2,000 of them are drawn.
        column: 'num_vision_tokens' or 'num_output_tokens'.
        metrics: Which latencies, columns of `stats.METRICS`.
        log: Logarithmic axes.
    """
    present = [metric for metric in metrics if metric in points and points[metric].notna().any()]
    drawn = points if len(points) <= _MOST_POINTS else points.sample(_MOST_POINTS, random_state=0)
    long, medians = _long(drawn, column, present), _medians(points, column, present)
    if log:
        long, medians = long[long["value"] > 0], medians[medians["median"] > 0]
    places = sorted(medians["x"].unique().tolist())
    axes = TokenAxes(_AXES[column], "Latency (ms, log scale)" if log else "Latency (ms)", log, places)
    colour = _by_latency(present)
    latency = alt.Tooltip("name:N", title="Latency")
    said = [alt.Tooltip("title:N", title="Picture"), latency, alt.Tooltip("n:Q", title="Samples")]
    tooltip = median_tooltip(axes, latency, "Pictures")
    lines = (
        alt.Chart(medians)
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=36, filled=True))
        .encode(x=axes.x, y=axes.y("median"), color=colour, tooltip=tooltip)
    )
    layers = [circles(long, axes, colour, said), lines, intervals(medians, axes, colour, tooltip)]
    return alt.layer(*layers).properties(height=HEIGHT)


def _by_latency(metrics: Sequence[str]) -> alt.Color:
    """A colour for each latency: that of its stage."""
    colours = {stage.column: STAGE_COLOURS[stage] for stage in Stage}
    names = [METRIC_LABELS[metric] for metric in metrics]
    return alt.Color(
        "name:N",
        scale=alt.Scale(domain=names, range=[colours.get(metric, LINE) for metric in metrics]),
        legend=alt.Legend(
            title=None, orient="top", symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1, columns=_A_ROW
        ),
    )


def _medians(points: pd.DataFrame, column: str, metrics: Sequence[str]) -> pd.DataFrame:
    """The medians of pictures with the same number of tokens."""
    rows = []
    for metric in metrics:
        for x, group in points.groupby(column):
            found = median_interval(group[metric].to_numpy(dtype=float))
            if found.n:
                rows.append([x, METRIC_LABELS[metric], found.value, found.low, found.high, found.n])
    return with_words(pd.DataFrame(rows, columns=["x", "name", "median", "low", "high", "n"]))


def _long(points: pd.DataFrame, column: str, metrics: Sequence[str]) -> pd.DataFrame:
    """A row for each point and latency."""
    frames = [
        points[["title", "n"]].assign(x=points[column], name=METRIC_LABELS[metric], value=points[metric])
        for metric in metrics
    ]
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["title", "n", "x", "name"])
    return frame.dropna(subset=["x", "value"]) if "value" in frame else frame.assign(value=[])


def flops_points(points: pd.DataFrame) -> alt.LayerChart:
    """Each stage's latency against its FLOPs, on logarithmic axes; at most 2,000 points are drawn.

    Args:
        points: With `flops.COLUMNS`, the stages' milliseconds and `title`.
    """
    drawn = points if len(points) <= _MOST_POINTS else points.sample(_MOST_POINTS, random_state=0)
    frames = [
        drawn[["title"]].assign(stage=stage.label, flops=drawn[f"flops_{stage}"] / 1e9, value=drawn[stage.column])
        for stage in MODEL_STAGES
    ]
    frame = pd.concat(frames, ignore_index=True)
    frame = frame[(frame["flops"] > 0) & (frame["value"] > 0)]
    present = [stage for stage in MODEL_STAGES if stage.label in set(frame["stage"])]
    chart = (
        alt.Chart(frame)
        .mark_circle(size=36, opacity=0.5)
        .encode(
            x=alt.X(
                "flops:Q",
                title="FLOPs (10⁹, log scale)",
                scale=alt.Scale(type="log", nice=False, padding=14),
                axis=log_axis(frame["flops"]),
            ),
            y=alt.Y(
                "value:Q",
                title="Latency (ms, log scale)",
                scale=alt.Scale(type="log", nice=False, padding=14),
                axis=log_axis(frame["value"]),
            ),
            color=alt.Color(
                "stage:N",
                scale=alt.Scale(
                    domain=[stage.label for stage in present], range=[STAGE_COLOURS[stage] for stage in present]
                ),
                legend=alt.Legend(title=None, orient="top", symbolType="circle", symbolOpacity=1, columns=_A_ROW),
            ),
            tooltip=[
                alt.Tooltip("title:N", title="Picture"),
                alt.Tooltip("stage:N", title="Stage"),
                alt.Tooltip("flops:Q", title="FLOPs (10⁹)", format=DIGITS),
                alt.Tooltip("value:Q", title="Latency (ms)", format=DIGITS),
            ],
        )
    )
    return alt.layer(chart).properties(height=HEIGHT)
