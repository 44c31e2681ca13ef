"""Stages under the roofline of their card."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np
import pandas as pd

from profcore.charts.base import ERROR, HEIGHT, INK, STAGE_COLOURS
from profcore.roofline.points import ridge, roof_at
from profcore.spec.stages import MODEL_STAGES
from profcore.stats.digits import written

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from profcore.spec.records import Ceilings

_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
"""Of runs; as many as can be told apart."""

MOST_RUNS = len(_SHAPES)
# What two legends take of the height.
_LEGENDS = 60
_GIGA, _TERA = 1e9, 1e12
# At least from where a decode lies to where an encoder does, so that two runs are drawn alike.
_LEAST, _MOST = 0.5, 3000.0
_LEGEND: dict[str, Any] = {"title": None, "orient": "top", "labelLimit": 0}
_ROOF_WORDS = {"card": "Card", "slope": "Rising part", "flat": "Level part"}


def roofline(points: pd.DataFrame, ceilings: Mapping[str, Ceilings]) -> alt.LayerChart:
    """FLOPs per second over FLOPs per byte, on logarithmic axes, under what each card can do at most.

    Args:
        points: As `roofline_points`, with `run`, what each point's run is called.
        ceilings: Those of each run, by what it is called; cards of one name and type are drawn once.
    """
    edges = _Edges.around(points, list(ceilings.values()))
    x, y = edges.axes()
    runs, several = list(ceilings), len(ceilings) > 1
    present = [stage for stage in MODEL_STAGES if stage.label in set(points["stage"])]
    colour = alt.Color(
        "stage:N",
        scale=alt.Scale(domain=[stage.label for stage in present], range=[STAGE_COLOURS[stage] for stage in present]),
        legend=alt.Legend(symbolType="circle", symbolOpacity=1, columns=2, **_LEGEND),
    )
    shape = alt.Shape(
        "run:N",
        scale=alt.Scale(domain=runs, range=list(_SHAPES[: len(runs)])),
        legend=alt.Legend(symbolFillColor=INK, symbolStrokeColor=INK, columns=1, **_LEGEND) if several else None,
    )
    base = alt.Chart(_said(points)).encode(x=x, y=y, color=colour)
    lines = base.mark_line(strokeWidth=1, opacity=0.5).encode(detail="run:N")
    marks = base.mark_point(filled=True, size=70, opacity=0.9).encode(shape=shape, tooltip=_tooltip(several))
    return alt.layer(*_roofs(edges, ceilings, x, y), lines, marks).properties(height=HEIGHT + _LEGENDS)


@dataclass(frozen=True)
class _Edges:
    """The ends of both axes: FLOPs per byte, and FLOPs per second."""

    left: float
    right: float
    bottom: float
    top: float

    @classmethod
    def around(cls, points: pd.DataFrame, ceilings: Sequence[Ceilings]) -> _Edges:
        """Room for every point, for the lowest line where it begins, and for what is written on the highest."""
        left = min(_LEAST, float(points["intensity"].min()) / 2)
        right = max(_MOST, 2 * float(points["intensity"].max()))
        peak = max(each.matmul_tflop_s for each in ceilings) * _TERA
        begins = min(float(roof_at(np.array([left]), each)[0]) for each in ceilings)
        return cls(left, right, min(float(points["achieved"].min()), begins) / 2, 4 * peak)

    def axes(self) -> tuple[alt.X, alt.Y]:
        """Logarithmic, with the powers of ten marked."""

        def scale(*ends: float) -> alt.Scale:
            return alt.Scale(type="log", nice=False, domain=list(ends))

        def decades(text: str) -> alt.Axis:
            return alt.Axis(values=[10.0**power for power in range(-3, 17)], format=text, labelOverlap=True)

        return (
            alt.X("intensity:Q", title="FLOPs per byte", scale=scale(self.left, self.right), axis=decades(",~g")),
            alt.Y("achieved:Q", title="FLOPs per second", scale=scale(self.bottom, self.top), axis=decades("~s")),
        )


def _roofs(edges: _Edges, ceilings: Mapping[str, Ceilings], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """The line of each card and type, and on either part what it is."""
    cards: dict[tuple[str, str], Ceilings] = {}
    for each in ceilings.values():
        kind = each.device_name, each.dtype
        cards[kind] = _higher(cards[kind], each) if kind in cards else each
    lines, slopes, flats = [], [], []
    for (device, dtype), each in cards.items():
        of = f" ({device})" if len(cards) > 1 else ""
        slope = f"Memory: {written(each.memory_gb_s)} GB/s{of}"
        flat = f"Arithmetic: {written(each.matmul_tflop_s)} TFLOP/s in {dtype}{of}"
        lines += [
            {"card": f"{device}, {dtype}", "slope": slope, "flat": flat, **place}
            for place in _places(each, edges.left, ridge(each), edges.right)
        ]
        slopes += [{"text": slope, **place} for place in _places(each, _beyond_middle(edges.left, ridge(each)))]
        flats += [{"text": flat, **place} for place in _places(each, edges.right)]
    tooltip = [alt.Tooltip(f"{field}:N", title=title) for field, title in _ROOF_WORDS.items()]
    text = alt.Text("text:N")
    return [
        alt.Chart(pd.DataFrame(lines))
        .mark_line(strokeWidth=2.5, color=ERROR, clip=True)
        .encode(x=x, y=y, detail="card:N", tooltip=tooltip),
        alt.Chart(pd.DataFrame(slopes)).mark_text(align="right", dx=-10, dy=-14, color=INK).encode(x=x, y=y, text=text),
        alt.Chart(pd.DataFrame(flats)).mark_text(align="right", dy=-10, color=INK).encode(x=x, y=y, text=text),
    ]


def _higher(one: Ceilings, other: Ceilings) -> Ceilings:
    """The higher of what was measured on cards of one kind: a ceiling that one of them passes is none for the kind."""
    rates = ("read_gb_s", "copy_gb_s", "matmul_tflop_s")
    return replace(one, **{rate: max(getattr(one, rate), getattr(other, rate)) for rate in rates})


def _beyond_middle(left: float, right: float) -> float:
    """Where on the slope its label ends: in a narrow window one that ends at its middle begins outside the chart."""
    return left**0.35 * right**0.65


def _places(ceilings: Ceilings, *intensities: float) -> list[dict[str, float]]:
    """Points of a roof."""
    roof = roof_at(np.array(intensities), ceilings)
    return [{"intensity": at, "achieved": float(most)} for at, most in zip(intensities, roof, strict=True)]


def _said(points: pd.DataFrame) -> pd.DataFrame:
    """The points with what tooltips say of them."""
    return points.assign(
        said_flops=[written(value / _GIGA) for value in points["flops"]],
        said_bytes=[written(value / _GIGA) for value in points["bytes"]],
        said_ms=[written(value) for value in points["ms"]],
        said_intensity=[written(value) for value in points["intensity"]],
        said_achieved=[written(value / _TERA) for value in points["achieved"]],
        said_roof=[written(value / _TERA) for value in points["roof"]],
        said_share=[f"{written(100 * value)} %" for value in points["share"]],
    )


def _tooltip(several: bool) -> list[alt.Tooltip]:
    titles = {
        "stage": "Stage",
        "title": "Setting",
        "said_flops": "GFLOP",
        "said_bytes": "GB",
        "said_ms": "Median (ms)",
        "said_intensity": "FLOPs per byte",
        "said_achieved": "Achieved (TFLOP/s)",
        "said_roof": "Ceiling there (TFLOP/s)",
        "said_share": "Share of the ceiling",
        "verdict": "It is",
    }
    if several:
        titles = {"run": "Run", **titles}
    return [alt.Tooltip(f"{field}:N", title=title) for field, title in titles.items()]
