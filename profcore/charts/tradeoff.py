"""Joint settings weighed: quality against latency with the frontier, and how good a latency model is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import pandas as pd

from profcore.charts.base import CLICK, CLICKED, DIGITS, ERROR, HEIGHT, INK, SERIES_COLOURS, STAGE_COLOURS
from profcore.spec.stages import Stage
from profcore.stats.digits import MISSING, written, written_interval
from profcore.tradeoff.latencies import METRICS, unit_of
from profcore.tradeoff.points import quality_title
from profcore.tradeoff.terms import STAGE_NAMES

if TYPE_CHECKING:
    from profcore.tradeoff.frontier import Frontier
    from profcore.tradeoff.latency_model import LatencyModel

_ON, _OFF = "on the frontier", "dominated by another"
_SQUARE = 340
# Of a point that is on the frontier in no draw; read on a light and on a dark ground.
_FAINTEST = 0.35


def frontier(found: Frontier) -> alt.LayerChart:
    """Settings in the plane of a latency and a quality, with intervals, and the frontier as a line.

    How opaque a point is within its ring says in which share of the draws it is on the frontier. A click gives its
    `point`.
    """
    rows, latency, quality = _said(found), _latency_title(found), quality_title(found.points, found.quality)
    x = alt.X("latency:Q", title=latency, scale=alt.Scale(zero=False, padding=14))
    axis = alt.Axis() if found.quality == "kl" else alt.Axis(format="~%")
    y = alt.Y("quality:Q", title=quality, axis=axis, scale=alt.Scale(zero=False, nice=False, padding=14))
    across = rows.dropna(subset=["latency_low", "latency_high"])
    up = rows.dropna(subset=["quality_low", "quality_high"])
    up = up[up["quality_high"] > up["quality_low"]]
    colour, opacity = _surely(bool(found.table["share"].notna().any()))
    intervals = [
        alt.Chart(across)
        .mark_rule(color=ERROR, opacity=0.6)
        .encode(x=alt.X("latency_low:Q", title=latency), x2="latency_high:Q", y=y),
        alt.Chart(up)
        .mark_rule(color=ERROR, opacity=0.6)
        .encode(x=x, y=alt.Y("quality_low:Q", title=quality), y2="quality_high:Q"),
    ]
    layers = [
        # Of none nothing is drawn, which a screen reader would still be told of.
        *(layer for layer, rules in zip(intervals, (across, up), strict=True) if len(rules)),
        # Between two points of the frontier nothing better is known than the cheaper of them.
        alt.Chart(rows[rows["on_frontier"]])
        .mark_line(interpolate="step-after", strokeWidth=2, color=SERIES_COLOURS[1])
        .encode(x=x, y=y, order="latency:Q"),
        # What is faint alone is lost on a dark ground.
        alt.Chart(rows).mark_point(size=90, strokeWidth=1.5, opacity=1).encode(x=x, y=y, stroke=_ring()),
        alt.Chart(rows, name=CLICKED)
        .mark_circle(size=90)
        .encode(x=x, y=y, color=colour, opacity=opacity, tooltip=_point_words(latency, quality))
        .add_params(alt.selection_point(name=CLICK, fields=["point"], toggle=False)),
    ]
    return alt.layer(*layers).properties(height=HEIGHT + 100)


def _latency_title(found: Frontier) -> str:
    unit = unit_of(found.metric)
    return (
        f"{METRICS[found.metric]} ({unit})" if unit == "J" else f"{METRICS[found.metric]} (ms, P{found.percentile:g})"
    )


def _surely(known: bool) -> tuple[alt.Color, alt.Opacity]:
    """Whether a point is on the frontier, and how surely, where that is known of any."""
    scale = alt.Scale(domain=[_ON, _OFF], range=[SERIES_COLOURS[1], SERIES_COLOURS[0]])
    legend = alt.Legend(title=None, orient="top", symbolType="circle", symbolOpacity=1)
    shares = alt.Legend(
        title="Share of draws on the frontier",
        # Beside the other it would be cut off in a narrow window.
        orient="bottom",
        titleLimit=0,
        format="~%",
        values=[0, 0.25, 0.5, 0.75, 1],
        symbolFillColor=INK,
        symbolStrokeColor=INK,
    )
    scaled = alt.Scale(domain=[0, 1], range=[_FAINTEST, 1])
    opacity = alt.Opacity("share:Q", scale=scaled, legend=shares if known else None)
    return alt.Color("where:N", scale=scale, legend=legend), opacity


def _ring() -> Any:
    """A ring's colour, by values: a second scale without a legend would take the first one's away."""
    on, off = alt.value(SERIES_COLOURS[1]), alt.value(SERIES_COLOURS[0])
    return alt.when(alt.datum.on_frontier).then(on).otherwise(off)


def _point_words(latency: str, quality: str) -> list[alt.Tooltip]:
    names = {
        "label": "Setting",
        "said_latency": latency,
        "said_latency_interval": "95 % interval",
        "said_quality": quality,
        "said_quality_interval": "95 % interval of it",
        "said_share": "On the frontier in",
        "samples": "Samples",
    }
    return [alt.Tooltip(f"{field}:N", title=title) for field, title in names.items()]


def _said(found: Frontier) -> pd.DataFrame:
    """The points with what tooltips say of them; what a chart does not draw is left out."""
    table, rows = found.table, found.table.to_dict("records")
    names = ["label", "latency", "latency_low", "latency_high", "quality", "quality_low", "quality_high"]
    exact = found.quality == "kl"
    scale = 1.0 if exact else 100.0
    unit = "" if exact else " %"
    return table[[*names, "on_frontier", "samples"]].assign(
        # What has no share is not faded.
        share=table["share"].fillna(1.0),
        point=np.arange(len(table)),
        where=np.where(table["on_frontier"], _ON, _OFF),
        said_latency=[written(row["latency"]) for row in rows],
        said_latency_interval=[written_interval(row["latency_low"], row["latency_high"]) for row in rows],
        said_quality=[f"{written(scale * row['quality'])}{unit}" for row in rows],
        said_quality_interval=[
            written_interval(scale * row["quality_low"], scale * row["quality_high"]) for row in rows
        ],
        said_share=[MISSING if np.isnan(row["share"]) else f"{row['share']:.0%} of draws" for row in rows],
    )


def setting_bar(medians: dict[str, float], label: str) -> alt.LayerChart:
    """The stages of one setting, one after the other, by the medians of their columns in milliseconds."""
    known = {stage: medians[stage.column] for stage in Stage if np.isfinite(medians.get(stage.column, np.nan))}
    ends = np.cumsum(list(known.values()))
    rows = pd.DataFrame(
        {
            "stage": [stage.label for stage in known],
            "start": ends - list(known.values()),
            "end": ends,
            "said": [written(value) for value in known.values()],
            "setting": label,
        }
    )
    colour = alt.Color(
        "stage:N",
        sort=None,
        scale=alt.Scale(domain=[s.label for s in known], range=[STAGE_COLOURS[s] for s in known]),
        legend=alt.Legend(title=None, orient="top", symbolType="square", columns=3),
    )
    tooltip = [alt.Tooltip("stage:N", title="Stage"), alt.Tooltip("said:N", title="Median (ms)")]
    bars = (
        alt.Chart(rows)
        .mark_bar(size=26)
        .encode(
            x=alt.X("start:Q", title="Latency (ms)", axis=alt.Axis(tickCount=8)),
            x2="end:Q",
            y=alt.Y("setting:N", title=None, axis=alt.Axis(labels=False, ticks=False)),
            color=colour,
            tooltip=tooltip,
        )
    )
    return alt.layer(bars).properties(height=140)


def predicted(model: LatencyModel, metric: str) -> alt.LayerChart:
    """What settings were predicted to take that a fit had not seen, against what they took."""
    rows = _known(model, metric)
    name = STAGE_NAMES.get(metric, METRICS.get(metric, metric))
    ends = [float(rows[["measured", "predicted"]].min().min()), float(rows[["measured", "predicted"]].max().max())]
    scale = alt.Scale(type="log", nice=False, padding=10, domain=[ends[0] * 0.95, ends[1] * 1.05])
    x = alt.X("measured:Q", title=f"{name}, measured (ms)", scale=scale)
    y = alt.Y("predicted:Q", title=f"{name}, predicted (ms)", scale=scale)
    same = alt.Chart(pd.DataFrame({"measured": ends, "predicted": ends})).mark_line(color=ERROR, strokeDash=[4, 3])
    points = (
        alt.Chart(rows).mark_circle(size=45, opacity=0.7, color=SERIES_COLOURS[0]).encode(x=x, y=y, tooltip=_tooltip())
    )
    return alt.layer(same.encode(x=x, y=y), points).properties(height=_SQUARE)


def residuals(model: LatencyModel, metric: str, knob: str, title: str) -> alt.LayerChart:
    """How far each prediction is off, over a knob: what a model does not know shows as a trend."""
    rows = _known(model, metric)
    values = sorted(rows[knob].unique())
    x = alt.X(f"{knob}:O", title=title, sort=values, axis=alt.Axis(labelAngle=0, format="~g", labelOverlap=True))
    y = alt.Y("off:Q", title="Predicted against measured", axis=alt.Axis(format="+~%"))
    zero = alt.Chart(pd.DataFrame({"off": [0.0]})).mark_rule(color=ERROR, strokeDash=[4, 3]).encode(y=y)
    points = (
        alt.Chart(rows).mark_circle(size=40, opacity=0.6, color=SERIES_COLOURS[0]).encode(x=x, y=y, tooltip=_tooltip())
    )
    return alt.layer(zero, points).properties(height=_SQUARE)


def _known(model: LatencyModel, metric: str) -> pd.DataFrame:
    rows = model.left_out[model.left_out["metric"] == metric].dropna(subset=["measured", "predicted"])
    rows = rows[(rows["measured"] > 0) & (rows["predicted"] > 0)]
    off = rows["predicted"] / rows["measured"] - 1
    return rows.assign(
        off=off,
        said_measured=[written(value) for value in rows["measured"]],
        said_predicted=[written(value) for value in rows["predicted"]],
        said_off=[f"{value:+.1%}" for value in off],
    )


def _tooltip() -> list[alt.Tooltip]:
    names = {
        "label": "Setting",
        "said_measured": "Measured (ms)",
        "said_predicted": "Predicted (ms)",
        "said_off": "Off by",
    }
    return [alt.Tooltip(f"{field}:N", title=title) for field, title in names.items()]


def errors_over_settings(rows: pd.DataFrame) -> alt.LayerChart:
    """The error on other settings over how many were measured: the median drawn whole, P95 dashed.

    Args:
        rows: As `latency_model.errors_by_number`.
    """
    stages = [STAGE_NAMES[metric] for metric in STAGE_NAMES if metric in set(rows["metric"])]
    kinds = {"median": "median", "p95": "P95"}
    long = pd.concat(
        [
            rows[["metric", "settings"]].assign(error=rows[column], kind=kind, said=[f"{v:.1%}" for v in rows[column]])
            for column, kind in kinds.items()
        ]
    ).assign(stage=lambda found: found["metric"].map(STAGE_NAMES))
    legend = alt.Legend(title=None, orient="top", columns=2, symbolType="stroke", symbolSize=500, symbolStrokeWidth=3)
    # Beside the other it would be cut off in a narrow window.
    dashes = alt.Legend(
        title=None, orient="bottom", symbolType="stroke", symbolSize=500, symbolStrokeWidth=2, symbolStrokeColor=INK
    )
    values = sorted(rows["settings"].unique().tolist())
    x = alt.X(
        "settings:Q",
        title="Settings measured",
        scale=alt.Scale(type="log", base=2, nice=False, padding=14),
        axis=alt.Axis(values=values, format="d"),
    )
    y = alt.Y("error:Q", title="Error on other settings", axis=alt.Axis(format="~%"), scale=alt.Scale(zero=True))
    colour = alt.Color("stage:N", scale=alt.Scale(domain=stages, range=SERIES_COLOURS[: len(stages)]), legend=legend)
    dash = alt.StrokeDash("kind:N", scale=alt.Scale(domain=list(kinds.values()), range=[[1, 0], [5, 3]]), legend=dashes)
    tooltip = [
        alt.Tooltip("stage:N", title="Stage"),
        alt.Tooltip("settings:Q", title="Settings measured"),
        alt.Tooltip("kind:N", title="Of errors"),
        alt.Tooltip("said:N", title="Error"),
    ]
    base = alt.Chart(long).encode(x=x, y=y, color=colour, tooltip=tooltip)
    # Points of the lines' own mark would make the legend of dashes one of filled symbols, which strokes do not show.
    lines = base.mark_line(strokeWidth=2).encode(strokeDash=dash)
    points = base.mark_point(filled=True, size=36, opacity=1).encode(detail="kind:N")
    return alt.layer(lines, points).properties(height=HEIGHT)


def answer_length(rows: pd.DataFrame) -> alt.LayerChart:
    """Decode divided by tokens and by steps, over the length of the answer.

    Args:
        rows: As `answer_length.over_length`.
    """
    names, each = rows["name"].drop_duplicates().tolist(), "Decode (ms per token or step)"
    values = sorted(rows["tokens"].unique().tolist())
    x = alt.X(
        "tokens:Q",
        title="Output tokens",
        scale=alt.Scale(type="log", base=2, nice=False, padding=14),
        axis=alt.Axis(values=values, format="d", labelOverlap=True),
    )
    y = alt.Y("median:Q", title=each, scale=alt.Scale(zero=True))
    colour = alt.Color(
        "name:N",
        scale=alt.Scale(domain=names, range=[STAGE_COLOURS[Stage.LLM_DECODE], SERIES_COLOURS[0]]),
        legend=alt.Legend(title=None, orient="top", symbolType="stroke", symbolStrokeWidth=3),
    )
    said = rows.assign(
        said=[written(value) for value in rows["median"]],
        said_interval=[written_interval(low, high) for low, high in zip(rows["low"], rows["high"], strict=True)],
    )
    tooltip = [
        alt.Tooltip("name:N", title="Decode"),
        alt.Tooltip("tokens:Q", title="Output tokens"),
        alt.Tooltip("said:N", title="Median (ms)"),
        alt.Tooltip("said_interval:N", title="95 % interval (ms)"),
        alt.Tooltip("n:Q", title="Samples", format=DIGITS),
    ]
    lines = (
        alt.Chart(said)
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=40, filled=True))
        .encode(x=x, y=y, color=colour, tooltip=tooltip)
    )
    bars = (
        alt.Chart(said.dropna(subset=["low", "high"]))
        .mark_errorbar(thickness=1.5)
        .encode(x=x, y=alt.Y("low:Q", title=each), y2="high:Q", color=colour, tooltip=tooltip)
    )
    return alt.layer(lines, bars).properties(height=HEIGHT - 80)
