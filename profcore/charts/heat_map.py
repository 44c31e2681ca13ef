"""Two knobs of a joint run against each other, a colour for each cell; as small multiples where a third varies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd

from profcore.charts.base import DIGITS, ERROR, INK
from profcore.stats.digits import common_decimals, written, written_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ROW, _BESIDE = 40, 150
"""Pixels of a row of cells, and of what stands around them: a chart's height on a page holds legend and axis too."""

_MOST_WRITTEN = 120
"""Cells up to which each has its figure written in it."""

_SCHEME = "viridis"


def heat_maps(
    panels: Mapping[str, pd.DataFrame],
    titles: tuple[str, str, str],
    orders: tuple[Sequence[str], Sequence[str]],
) -> list[alt.LayerChart]:
    """A heat map for each value of a knob, all with one scale of colours; one alone has no title.

    Args:
        panels: By what each is called, the cells as `results.joint_cells.heat_cells`.
        titles: Of the axis x, of the axis y, and of the colours, with its unit.
        orders: The values along x and along y, in ascending order.
    """
    values = pd.concat([cells["value"] for cells in panels.values()]).dropna()
    domain = [float(values.min()), float(values.max())] if len(values) else [0.0, 1.0]
    return [
        _heat_map(cells, titles, orders, domain).properties(**({"title": called} if len(panels) > 1 else {}))
        for called, cells in panels.items()
    ]


def _heat_map(
    cells: pd.DataFrame,
    titles: tuple[str, str, str],
    orders: tuple[Sequence[str], Sequence[str]],
    domain: list[float],
) -> alt.LayerChart:
    across, up, coloured = titles
    x = _axis("x", orders[0], across, alt.X)
    y = _axis("y", list(reversed(orders[1])), up, alt.Y)
    known, empty = cells[cells["value"].notna()], cells[cells["value"].isna()]
    known = _with_words(known, domain)
    tooltip = [
        alt.Tooltip("title:N", title="Setting"),
        alt.Tooltip("said:N", title=coloured),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("samples:N", title="Samples"),
    ]
    # An equal pair would leave a scale without extent.
    scale = alt.Scale(scheme=_SCHEME, domain=domain if domain[0] < domain[1] else [domain[0], domain[0] + 1])
    colour = alt.Color(
        "value:Q", title=coloured, scale=scale, legend=alt.Legend(orient="top", format=DIGITS, titleLimit=0)
    )
    layers = [
        alt.Chart(empty)
        .mark_rect(aria=False, fillOpacity=0, stroke=ERROR, strokeDash=[3, 3], strokeWidth=1)
        .encode(x=x, y=y, tooltip=[alt.Tooltip("title:N", title="Setting"), alt.Tooltip("why:N", title="Empty")]),
        alt.Chart(known).mark_rect().encode(x=x, y=y, color=colour, tooltip=tooltip),
    ]
    if len(cells) <= _MOST_WRITTEN:
        layers.append(
            alt.Chart(known)
            .mark_text(fontSize=11)
            .encode(x=x, y=y, text="said:N", color=alt.Color("ink:N", scale=None), tooltip=tooltip)
        )
        layers.append(alt.Chart(empty).mark_text(fontSize=11, color=INK).encode(x=x, y=y, text=alt.value("–")))
    height = _BESIDE + _ROW * max(len(orders[1]), 2)
    return alt.layer(*layers).resolve_scale(color="independent").properties(height=height)


def _axis(field: str, order: Sequence[str], title: str, channel: Any) -> Any:
    axis = alt.Axis(labelAngle=0, labelLimit=160, labelOverlap=True, grid=False)
    return channel(f"{field}:N", sort=list(order), scale=alt.Scale(domain=list(order)), title=title, axis=axis)


def _with_words(cells: pd.DataFrame, domain: list[float]) -> pd.DataFrame:
    """The cells with what is written in them, and in which ink: the scale begins dark and ends light."""
    rows = cells.to_dict("records")
    places = common_decimals(cells["value"], zip(cells["low"], cells["high"], strict=True))
    extent = (domain[1] - domain[0]) or 1.0
    return cells.assign(
        said=[written(row["value"], places) for row in rows],
        interval=[written_interval(row["low"], row["high"], places) for row in rows],
        samples=[written(row["n"], 0) for row in rows],
        ink=["black" if (row["value"] - domain[0]) / extent > 0.55 else "white" for row in rows],
    )
