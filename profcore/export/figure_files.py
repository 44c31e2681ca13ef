"""Charts as files for a paper: PNG at 300 DPI, SVG and PDF."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import altair as alt

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
"""Kinds of figure files and their media types."""

DPI = 300
_WIDTH = 560
_FONT = "DejaVu Sans, Arial, Helvetica, sans-serif"


def figure(charts: alt.LayerChart | Sequence[alt.LayerChart], kind: str, title: str = "") -> bytes:
    """One chart, or several side by side, as a file on a white ground.

    Args:
        charts: As `profcore.charts` makes them.
        kind: One of `KINDS`.
        title: Written above, where given.
    """
    several = [charts] if isinstance(charts, alt.LayerChart) else list(charts)
    sized = [_sized(chart) for chart in several]
    whole = sized[0] if len(sized) == 1 else alt.hconcat(*sized).resolve_scale(color="independent")
    if title:
        whole = whole.properties(title=title)
    whole = whole.configure(background="white", font=_FONT).configure_axis(labelFontSize=11, titleFontSize=12)
    whole = whole.configure_legend(labelFontSize=11, labelLimit=0).configure_title(fontSize=13, anchor="start")
    if kind == "svg":
        text = io.StringIO()
        whole.save(text, format="svg")
        return text.getvalue().encode()
    buffer = io.BytesIO()
    # Resolution applies to pixels alone: lines and letters of a PDF have none.
    whole.save(buffer, format=kind, **({"ppi": DPI} if kind == "png" else {}))
    return buffer.getvalue()


def _sized(chart: alt.LayerChart) -> alt.LayerChart:
    """A chart as wide as a figure is, where a page gives it the room there is; and without what a click selects."""
    chart = chart.copy(deep=False)
    chart.params = alt.Undefined
    return chart if chart.width is not alt.Undefined else chart.properties(width=_WIDTH)
