"""The time to first token over a picture's vision tokens, with the size that is asked for among what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import pandas as pd

from profcore.charts.base import ENGINE_COLOURS, ERROR, HEIGHT, LINE
from profcore.stats.digits import written_both

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.comparisons.size_to_latency import Curve, Estimate

_TITLES = {"x": "Vision tokens", "y": "Time to first token (ms)"}
_FOUND = "this picture"


def size_to_latency(curves: Sequence[Curve], found: Sequence[Estimate], tokens: int) -> alt.LayerChart:
    """Each engine's medians over vision tokens, and where the picture lies on them.

    Args:
        curves: Of one card, one for each engine.
        found: The estimates at the picture.
        tokens: The picture's vision tokens.
    """
    measured = pd.concat([_points(curve) for curve in curves], ignore_index=True)
    asked = pd.DataFrame([_asked(each, tokens) for each in found], columns=list(measured.columns))
    present = [name for name in ENGINE_COLOURS if name in set(measured["engine"])]
    colour = alt.Color(
        "engine:N",
        sort=present,
        scale=alt.Scale(domain=present, range=[ENGINE_COLOURS[name] for name in present]),
        legend=alt.Legend(title=None, orient="top", symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1),
    )
    x = alt.X("tokens:Q", title=_TITLES["x"], scale=alt.Scale(zero=False, nice=False, padding=14))
    y = alt.Y("ttft_ms:Q", title=_TITLES["y"], scale=alt.Scale(zero=True))
    tooltip = [
        alt.Tooltip("engine:N", title="Engine"),
        alt.Tooltip("what:N", title="What"),
        alt.Tooltip("tokens:Q", title="Vision tokens", format=",d"),
        alt.Tooltip("said:N", title="Time to first token (ms)"),
        alt.Tooltip("interval:N", title="Interval (ms)"),
    ]
    lines = alt.Chart(measured).encode(x=x, y=y, color=colour, tooltip=tooltip)
    here = alt.Chart(pd.DataFrame({"tokens": [tokens]}))
    layers: list[alt.Chart] = [
        here.mark_rule(color=LINE, strokeDash=[5, 4], strokeWidth=2).encode(x=x),
        lines.mark_line(strokeWidth=2),
        lines.mark_point(filled=True, size=36, opacity=1),
    ]
    if len(asked):
        known = alt.Chart(asked.dropna(subset=["low", "high"])).encode(x=x, color=alt.value(ERROR), tooltip=tooltip)
        bars = known.mark_errorbar(ticks=alt.MarkConfig(size=8), thickness=1.5)
        layers.append(bars.encode(y=alt.Y("low:Q", title=_TITLES["y"]), y2="high:Q"))
        marks = alt.Chart(asked).encode(x=x, y=y, color=colour, tooltip=tooltip)
        layers.append(marks.mark_point(filled=True, shape="diamond", size=130, opacity=1))
    return alt.layer(*layers).properties(height=HEIGHT)


def _points(curve: Curve) -> pd.DataFrame:
    rows = curve.points[["tokens", "ttft_ms", "low", "high"]]
    return _said(rows.assign(engine=str(curve.run["environment"].get("engine")), what="measured"))


def _asked(estimate: Estimate, tokens: int) -> dict[str, object]:
    row = {"tokens": tokens, "ttft_ms": estimate.ttft_ms, "low": estimate.low_ms, "high": estimate.high_ms}
    frame = _said(pd.DataFrame([{**row, "engine": estimate.engine, "what": _FOUND}]))
    return {str(name): value for name, value in frame.iloc[0].items()}


def _said(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with what tooltips say of them."""
    both = [written_both(*row) for row in zip(rows["ttft_ms"], rows["low"], rows["high"], strict=True)]
    return rows.assign(
        said=[middle for middle, _ in both],
        interval=[interval for _, interval in both],
    )
