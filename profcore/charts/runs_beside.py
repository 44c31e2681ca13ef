"""Runs that are compared: their medians over each other, and their ratios, setting by setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import pandas as pd

from profcore.charts.base import ERROR, HEIGHT, LINES, SERIES_COLOURS, log_axis
from profcore.stats import METRIC_LABELS
from profcore.stats.digits import written, written_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_LABELLED = 24
_RATIO_HEIGHT = 260


def medians_over(
    rows: pd.DataFrame, metric: str, names: Sequence[str], log: bool = False, knob: str = "Setting"
) -> alt.LayerChart:
    """One latency of several runs by setting: medians with their 95 % intervals, a colour for each run.

    Args:
        rows: As `overlay.medians_by_setting`.
        metric: A column of `stats.METRICS`.
        names: The runs' names, the reference first.
        log: A logarithmic axis of latency.
        knob: Title of the axis of settings.
    """
    rows = rows[(rows["metric"] == metric) & ((rows["median"] > 0) | (not log))]
    rows = _said(rows, "median")
    unit = "ms per token" if metric == "tpot_ms" else "ms"
    scale = alt.Scale(type="log", nice=False, padding=14) if log else alt.Scale(zero=True)
    axis = log_axis(rows[["median", "low", "high"]].to_numpy().ravel()) if log else alt.Axis()
    title = f"{METRIC_LABELS[metric]} ({unit}{', log scale' if log else ''})"
    layers = _points(rows, "median", title, scale, axis, names, knob)
    return alt.layer(*layers).properties(height=HEIGHT)


def ratios_over(
    rows: pd.DataFrame, metric: str, names: Sequence[str], margin: float, knob: str = "Setting"
) -> alt.LayerChart:
    """The ratio of each other run to the reference by setting, with its 95 % interval, and a rule at 1.

    Args:
        rows: As `overlay.ratios_by_setting`.
        metric: A column of `stats.METRICS`.
        names: The runs' names, the reference first.
        margin: The smallest difference that counts, as a share, which is drawn as a band.
        knob: Title of the axis of settings.
    """
    rows = _said(rows[rows["metric"] == metric], "ratio")
    title = f"{METRIC_LABELS[metric]}: ratio to A"
    scale = alt.Scale(zero=False, nice=True)
    # A band of its own data stands behind, whatever the settings are.
    around = pd.DataFrame({"low": [1 - margin], "high": [1 + margin], "one": [1.0]})
    band = alt.Chart(around).mark_rect(opacity=0.18, color=ERROR)
    rule = alt.Chart(around).mark_rule(color=ERROR, strokeWidth=1.5, strokeDash=[5, 4])
    layers = [
        band.encode(y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q"),
        rule.encode(y=alt.Y("one:Q", title=title, scale=scale)),
        *_points(rows, "ratio", title, scale, alt.Axis(), names, knob),
    ]
    return alt.layer(*layers).properties(height=_RATIO_HEIGHT)


def _points(
    rows: pd.DataFrame, field: str, title: str, scale: alt.Scale, axis: alt.Axis, names: Sequence[str], knob: str
) -> list[alt.Chart]:
    """Points with their intervals, the runs of a setting beside each other where there is room for that."""
    labels = rows["label"].drop_duplicates().tolist()
    roomy = len(labels) <= _MOST_LABELLED
    present = [name for name in names if name in set(rows["run"])]
    colours = dict(zip(names, SERIES_COLOURS, strict=False))
    legend = alt.Legend(title=None, orient="top", columns=1, labelLimit=0, symbolOpacity=1, symbolType="circle")
    shared = {
        "x": alt.X(
            "label:N",
            sort=labels,
            scale=alt.Scale(domain=labels),
            title=knob if roomy else f"{len(labels):,} settings, in their order",
            axis=alt.Axis(labelAngle=0, labelExpr=LINES, labelOverlap=True, labels=roomy, ticks=roomy),
        ),
        "color": alt.Color(
            "run:N",
            scale=alt.Scale(domain=present, range=[colours[name] for name in present]),
            legend=legend,
        ),
        "tooltip": [
            alt.Tooltip("run:N", title="Run"),
            alt.Tooltip("title:N", title="Setting"),
            alt.Tooltip("said:N", title="Ratio" if field == "ratio" else "Median (ms)"),
            alt.Tooltip("said_interval:N", title="95 % interval"),
        ],
    }
    if roomy and len(present) > 1:
        shared["xOffset"] = alt.XOffset("run:N", sort=present, scale=alt.Scale(domain=present, paddingOuter=0.6))
    known = rows.dropna(subset=["low", "high"])
    bars = alt.Chart(known).mark_rule(strokeWidth=2)
    points = alt.Chart(rows).mark_point(filled=True, size=55, opacity=1)
    return [
        bars.encode(y=alt.Y("low:Q", title=title, scale=scale, axis=axis), y2="high:Q", **shared),
        points.encode(y=alt.Y(f"{field}:Q", title=title, scale=scale, axis=axis), **shared),
    ]


def _said(rows: pd.DataFrame, field: str) -> pd.DataFrame:
    """Rows with what tooltips say of them."""
    described = rows.to_dict("records")
    return rows.assign(
        said=[written(row[field]) for row in described],
        said_interval=[written_interval(row["low"], row["high"]) for row in described],
    )
