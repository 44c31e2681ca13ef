"""The parts of the page that leads from a picture's size to its tokens and milliseconds."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from pages.parts import bar, figure_view, size_curves
from pages.parts.state import service
from pages.parts.text import plain, say_error
from profcore import charts
from profcore.comparisons.before_quoting import quoting_lines
from profcore.comparisons.size_to_latency import EXPERIMENTS, estimate_all
from profcore.comparisons.size_words import (
    caveats,
    display_estimates,
    layout_sentence,
    missing_sentence,
    named_runs,
)
from profcore.errors import UserError
from profcore.images.pictures import open_picture
from profcore.models.config import check_model_path, known_shape
from profcore.models.names import NAMED
from profcore.models.picture import picture_layout
from profcore.stats.digits import MISSING, written_both

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.comparisons.size_to_latency import Curve, Estimate
    from profcore.models.families.token_rules import Layout
    from profcore.models.shape import Shape

_FIRST = "molmoe-1b"
_SIZE, _UPLOAD = "its size", "a file"
_LARGEST = 20_000
_USUAL = ((224, 224), (336, 336), (512, 512), (640, 480), (1024, 768), (1280, 720), (1920, 1080), (4032, 3024))


def show() -> None:
    """Draw the choice of a model and a size, and what is known of it."""
    left, right = st.columns([1, 2.6], gap="large")
    with left:
        model = _choose_model()
        size = _choose_size()
    # Tables need the page's width.
    below = st.container()
    with right:
        if size is None:
            st.info("Upload a picture on the left.")
            return
        try:
            check_model_path(model, service().roots)
            shape = known_shape(model)
            layout = picture_layout(shape, *size)
        except UserError as error:
            say_error(error)
            return
        _show_layout(model, shape, size, layout)
        curves = service().results.among(("sizes", model), EXPERIMENTS, lambda: size_curves.of_model(model, shape))
        found = _show_latency(model, shape, layout, curves)
    with below:
        _show_estimates(found)
        _show_usual(shape, curves)


def _choose_model() -> str:
    """Draw the models: those that were measured, the one of the bar, then all that have a name."""
    measured = service().runs()["model"].dropna().unique().tolist()
    chosen = [] if bar.problem() else [bar.target().model]
    names = list(dict.fromkeys([_FIRST, *measured, *chosen, *NAMED]))
    return st.selectbox(
        "Model",
        names,
        key="sized-model",
        bind="query-params",
        help="Those that were measured here or are among the sample results come first.",
    )


def _choose_size() -> tuple[int, int] | None:
    """Draw the choice of a size; None where no picture was uploaded yet."""
    given = st.segmented_control("Given by", [_SIZE, _UPLOAD], default=_SIZE, required=True, key="sized-by")
    if given == _UPLOAD:
        uploaded = st.file_uploader("Picture file", key="sized-file")
        if uploaded is None:
            return None
        try:
            width, height = open_picture(io.BytesIO(uploaded.getvalue()), uploaded.name).size
        except UserError as error:
            say_error(error)
            return None
        st.caption(f"{width:,} × {height:,} pixels")
        return width, height
    width = st.number_input("Width in pixels", 1, _LARGEST, 1024, key="sized-width", bind="query-params")
    height = st.number_input("Height in pixels", 1, _LARGEST, 768, key="sized-height", bind="query-params")
    return int(width), int(height)


def _show_layout(model: str, shape: Shape, size: tuple[int, int], layout: Layout) -> None:
    first, second, third = st.columns(3)
    first.metric("Vision tokens", f"{layout.tokens:,}")
    second.metric("Views", layout.views, help="Pictures that the vision encoder sees: tiles and an overview, or one.")
    third.metric("Patches", f"{layout.patches:,}", help="Patches that the vision encoder sees, of all views.")
    st.caption(plain(layout_sentence(model, shape, *size, layout)))


def _show_latency(model: str, shape: Shape, layout: Layout, curves: Sequence[Curve]) -> list[Estimate]:
    """Draw the time to first token under each engine, or what to measure; gives what is known."""
    found = estimate_all(curves, layout)
    if missing := missing_sentence(model, shape, curves, found):
        st.info(plain(missing))
    if not curves:
        return []
    cards = list(dict.fromkeys(each.card for each in found)) or list(dict.fromkeys(each.key[0] for each in curves))
    card = st.selectbox("Measured on", cards, key="sized-card") if len(cards) > 1 else cards[0]
    here = [each for each in found if each.card == card]
    for column, each in zip(st.columns(max(len(here), 1)), here, strict=False):
        column.metric(f"TTFT, {plain(each.engine)}", f"{written_both(each.ttft_ms, each.low_ms, each.high_ms)[0]} ms")
    speaking = {each.run_id for each in here}
    drawn = [each for each in curves if each.run["id"] in speaking and len(each.points) > 1]
    if drawn:
        chart = charts.size_to_latency(drawn, here, layout.tokens)
        figure_view.draw(chart, "size_to_latency", "size-to-latency")
        st.caption(
            f"Measured on {plain(card)}: points are medians, the dashed line is this picture's tokens, and diamonds "
            "are what is read off there: beside its line where the picture has more or fewer views than a sweep's."
        )
    return found


def _show_estimates(found: Sequence[Estimate]) -> None:
    """Draw what is known in figures, and what to know of them."""
    if not found:
        return
    table = display_estimates(found)
    st.dataframe(table, hide_index=True, column_config=_right(table))
    st.caption(plain(" ".join(caveats(found))))
    for line in quoting_lines(service().results.any, named_runs(found)):
        st.caption(f":material/warning: {plain(line)}")


def _right(table: pd.DataFrame) -> dict[str, Any]:
    """Columns of figures that are text, on the side of figures."""
    of_figures = [name for name in map(str, table) if name.endswith(("(ms)", "tokens"))]
    return {name: st.column_config.Column(alignment="right") for name in of_figures}


def _usual_time(each: Estimate) -> str:
    """Milliseconds of a usual size; beyond what was measured this is said."""
    ms = written_both(each.ttft_ms, each.low_ms, each.high_ms)[0]
    return f"{ms} (beyond)" if each.how == "beyond" else ms


def _show_usual(shape: Shape, curves: Sequence[Curve]) -> None:
    """Draw usual sizes in a table: tokens, and milliseconds where they are known."""
    rows = []
    for width, height in _USUAL:
        try:
            layout = picture_layout(shape, width, height)
        except UserError:
            continue
        found = estimate_all(curves, layout)
        times = {f"{each.engine} (ms)": _usual_time(each) for each in found}
        rows.append(
            {"size": f"{width} × {height}", "vision tokens": f"{layout.tokens:,}", "views": layout.views, **times}
        )
    st.subheader("Usual sizes")
    table = pd.DataFrame(rows).fillna(MISSING)
    st.dataframe(table, hide_index=True, column_config=_right(table))
