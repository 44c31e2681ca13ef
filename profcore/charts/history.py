"""An experiment's latency over dates and versions, with the changes that its intervals show."""

from __future__ import annotations

import altair as alt
import pandas as pd

from profcore.charts.base import ERROR, HEIGHT, INK, LINES, SERIES_COLOURS
from profcore.stats import METRIC_LABELS
from profcore.stats.digits import written, written_interval

# Against the run before, which the first has not.
_FIRST = "first run"
_COLOURS = {"slower": "#D55E00", "faster": "#009E73", "same": "#0072B2", "undecided": "#E69F00", _FIRST: "#999999"}
_SHAPES = dict(zip(_COLOURS, ("triangle-up", "triangle-down", "circle", "diamond", "square"), strict=True))
_MOST_LABELLED = 12


def history(rows: pd.DataFrame, metric: str, of_all: bool = False) -> alt.LayerChart:
    """A point for each run, in their order in time, with its interval; a change against the run before is marked.

    Args:
        rows: As `comparisons.history.history`; a column `baseline` holds the names by which a run is one.
        metric: A column of `stats.METRICS`.
        of_all: Whether the values are times the first run's, and not milliseconds.
    """
    rows = rows.assign(
        mark=rows["change"].where(rows["change"] != "", _FIRST),
        baseline=rows.get("baseline", ""),
        said=[written(value) for value in rows["value"]],
        said_interval=[written_interval(*ends) for ends in zip(rows["low"], rows["high"], strict=True)],
        said_ratio=[written(value, 4) for value in rows["ratio"]],
        said_ends=[written_interval(*ends, 4) for ends in zip(rows["ratio_low"], rows["ratio_high"], strict=True)],
    )
    labels, roomy = rows["label"].tolist(), len(rows) <= _MOST_LABELLED
    unit = "times the first run's" if of_all else "ms per token" if metric == "tpot_ms" else "ms"
    title, scale = f"{METRIC_LABELS[metric]} ({unit})", alt.Scale(zero=False, nice=True, padding=12)
    shared = {
        "x": alt.X(
            "label:N",
            sort=labels,
            scale=alt.Scale(domain=labels),
            title=None if roomy else f"{len(labels):,} runs, in their order in time",
            axis=alt.Axis(
                labelAngle=0, labelExpr=LINES, labelOverlap=True, labelFlush=False, labels=roomy, ticks=roomy
            ),
        ),
        "tooltip": [
            alt.Tooltip("run:N", title="Run"),
            alt.Tooltip("said:N", title=title),
            alt.Tooltip("said_interval:N", title="95 % interval"),
            alt.Tooltip("said_ratio:N", title="Ratio to the run before"),
            alt.Tooltip("said_ends:N", title="Its interval, for all at once"),
            alt.Tooltip("mark:N", title="Against the run before"),
            alt.Tooltip("baseline:N", title="Baseline"),
            alt.Tooltip("torch:N"),
            alt.Tooltip("transformers:N"),
            alt.Tooltip("driver:N"),
        ],
    }
    present = [name for name in _COLOURS if name in set(rows["mark"])]
    legend = alt.Legend(title="Against the run before", orient="top", symbolOpacity=1, columns=3)
    colour = alt.Color(
        "mark:N", scale=alt.Scale(domain=present, range=[_COLOURS[name] for name in present]), legend=legend
    )
    shape = alt.Shape(
        "mark:N", scale=alt.Scale(domain=present, range=[_SHAPES[name] for name in present]), legend=legend
    )
    base = alt.Chart(rows)
    value = alt.Y("value:Q", title=title, scale=scale)
    line = base.mark_line(strokeWidth=1, color=ERROR, strokeDash=[4, 3]).encode(x=shared["x"], y=value)
    known = alt.Chart(rows.dropna(subset=["low", "high"]))
    bars = known.mark_rule(strokeWidth=2, color=SERIES_COLOURS[0]).encode(
        y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q", **shared
    )
    points = base.mark_point(filled=True, size=80, opacity=1).encode(y=value, color=colour, shape=shape, **shared)
    return alt.layer(*_flags(rows, shared["x"]), line, bars, points).properties(height=HEIGHT)


def _flags(rows: pd.DataFrame, x: alt.X) -> list[alt.Chart]:
    """What marks the runs that are baselines: an upright line, and their names at its top."""
    named = rows[rows["baseline"] != ""]
    if named.empty:
        return []
    base = alt.Chart(named).encode(x=x)
    line = base.mark_rule(strokeWidth=1, color=ERROR, strokeDash=[1, 3])
    name = base.mark_text(align="center", baseline="bottom", dy=-4, color=INK, limit=160).encode(
        y=alt.value(0), text="baseline:N", tooltip=alt.Tooltip("baseline:N", title="Baseline")
    )
    return [line, name]
