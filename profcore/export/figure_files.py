"""Charts as files for a paper: PNG at 300 DPI, SVG and PDF."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import altair as alt

from profcore.charts.base import FAINT, Stack, joined, without_click

if TYPE_CHECKING:
    from collections.abc import Sequence

KINDS = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
"""Kinds of figure files and their media types."""

DPI = 300
_WIDTH = 560
_FONT = "DejaVu Sans, Arial, Helvetica, sans-serif"


def figure(charts: alt.LayerChart | Sequence[alt.LayerChart], kind: str, footer: Sequence[str] = ()) -> bytes:
    """One chart, or several side by side or in a stack, as a file on a white ground.

    Args:
        charts: As `profcore.charts` makes them.
        kind: One of `KINDS`.
        footer: Lines written below, where given: where the figures come from.
    """
    several = [charts] if isinstance(charts, alt.LayerChart) else charts
    sized = [_sized(chart) for chart in several]
    whole = joined(Stack(sized) if isinstance(several, Stack) else sized)
    if footer:
        below = alt.TitleParams(
            list(footer), orient="bottom", anchor="start", fontSize=9, fontWeight="normal", color=FAINT, offset=12
        )
        whole = whole.properties(title=below)
    whole = whole.configure(background="white", font=_FONT).configure_axis(labelFontSize=11, titleFontSize=12)
    whole = whole.configure_legend(labelFontSize=11, labelLimit=0)
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
    chart = without_click(chart)
    return chart if chart.width is not alt.Undefined else chart.properties(width=_WIDTH)
