"""A chart on a page, and its files: PNG at 300 DPI, SVG and PDF."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.parts import head_start
from pages.parts.state import service
from profcore.charts import chart_words, vega_lite
from profcore.export.figure_files import DPI, KINDS, figure

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    import altair as alt

    from profcore.charts import Stack
    from profcore.export.captions import Source

SHRINKS = "shrinks-"
"""With what the keys begin of what holds a chart of a fixed size, which is drawn smaller where the page is narrower."""


def drawn_once(
    what: Hashable, run_ids: Sequence[str], make: Callable[[], alt.LayerChart]
) -> tuple[alt.LayerChart, dict[str, Any]]:
    """A chart of some runs, also as `charts.vega_lite` gives it; drawn again once anything of them has changed.

    Args:
        what: Which chart of theirs.
        run_ids: The runs.
        make: Draws it.
    """

    def both() -> tuple[alt.LayerChart, dict[str, Any]]:
        chart = make()
        return chart, vega_lite(chart)

    return service().results.follows(("chart", what), run_ids, both)


def draw_stack(
    stack: Stack, name: str, key: str, source: Source | None = None, specs: Sequence[dict[str, Any]] | None = None
) -> None:
    """Draw charts one above the other, with what saves them as one below.

    Args:
        stack: As `profcore.charts` makes it; of none, nothing is drawn.
        name: What its files are called, without ending.
        key: Tells the stack apart on its page.
        source: As in `draw`.
        specs: The same charts as `charts.vega_lite` gives them, where others have them drawn too.
    """
    drawn = [vega_lite(chart) for chart in stack] if specs is None else specs
    for place, spec in enumerate(drawn[:-1]):
        st.vega_lite_chart(spec, key=f"{key}-{place}", alt=chart_words(spec) or name.replace("_", " "), width="stretch")
        head_start.chart_sent()
    if stack:
        draw(stack[-1], name, f"{key}-last", saved=stack, source=source, spec=drawn[-1])


def draw(
    chart: alt.LayerChart,
    name: str,
    key: str,
    selection: str | None = None,
    saved: alt.LayerChart | Stack | None = None,
    source: Source | None = None,
    spec: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Draw a chart with what saves it below; files are made when they are asked for.

    Args:
        chart: As `profcore.charts` makes them.
        name: What its files are called, without ending.
        key: Tells the chart apart on its page.
        selection: The selection that a click makes, where the page is to know it.
        saved: What is saved, where that is another size.
        source: Where its figures come from, which stands under what is saved and in captions beside it.
        spec: The same chart as `charts.vega_lite` gives it, where others have it drawn too.

    Returns:
        What is selected, by the selection's name.
    """
    width: Any = "content" if isinstance(chart.width, int | float) else "stretch"
    drawn, selected = vega_lite(chart) if spec is None else spec, {}
    words = chart_words(drawn) or name.replace("_", " ")
    if selection is None:
        with st.container(key=f"{SHRINKS}{key}") if width == "content" else nullcontext():
            st.vega_lite_chart(drawn, key=key, alt=words, width=width)
    else:
        event = st.vega_lite_chart(drawn, key=key, alt=words, width=width, on_select="rerun", selection_mode=selection)
        selected = dict(event.selection)
    head_start.chart_sent()
    with st.popover("Save figure", icon=":material/download:", type="tertiary", key=f"save-{key}"):
        for kind, media in KINDS.items():
            label = f"PNG, {DPI} DPI" if kind == "png" else kind.upper()
            st.download_button(
                label,
                partial(figure, saved or chart, kind, source.footer if source else ()),
                f"{name}.{kind}",
                media,
                key=f"save-{key}-{kind}",
                on_click="ignore",
                width="stretch",
            )
        if source:
            for label, text, ending in (("Caption", source.plain, "txt"), ("Caption, LaTeX", source.latex, "tex")):
                st.download_button(
                    label,
                    text,
                    f"{name}.{ending}",
                    "text/plain",
                    key=f"save-{key}-{ending}",
                    on_click="ignore",
                    width="stretch",
                )
    return selected
