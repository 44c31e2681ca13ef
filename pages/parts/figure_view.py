"""A chart on a page, and its files: PNG at 300 DPI, SVG and PDF."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from profcore.export.figure_files import DPI, KINDS, figure

if TYPE_CHECKING:
    import altair as alt


def draw(
    chart: alt.LayerChart, name: str, key: str, selection: str | None = None, saved: alt.LayerChart | None = None
) -> dict[str, Any]:
    """Draw a chart with what saves it below; files are made when they are asked for.

    Args:
        chart: As `profcore.charts` makes them.
        name: What its files are called, without ending, and what a reader who does not see it is told.
        key: Tells the chart apart on its page.
        selection: The selection that a click makes, where the page is to know it.
        saved: What is saved, where that is another size.

    Returns:
        What is selected, by the selection's name.
    """
    width: Any = "content" if isinstance(chart.width, int | float) else "stretch"
    words, selected = name.replace("_", " "), {}
    if selection is None:
        st.altair_chart(chart, key=key, alt=words, width=width)
    else:
        event = st.altair_chart(chart, key=key, alt=words, width=width, on_select="rerun", selection_mode=selection)
        selected = dict(event.selection)
    with st.popover("Save figure", icon=":material/download:", type="tertiary", key=f"save-{key}"):
        for kind, media in KINDS.items():
            label = f"PNG, {DPI} DPI" if kind == "png" else kind.upper()
            st.download_button(
                label,
                partial(figure, saved or chart, kind),
                f"{name}.{kind}",
                media,
                key=f"save-{key}-{kind}",
                on_click="ignore",
                width="stretch",
            )
    return selected
