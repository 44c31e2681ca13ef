"""The inspection tools, a tab each: what a tool takes, Look, and what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.parts import bar, controls, figure_view
from pages.parts.pressed import pressed
from pages.parts.run_parts import waiting
from pages.parts.state import fragment, service
from pages.parts.text import plain, say_error
from profcore import charts
from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE, parse_values
from profcore.images.pictures import load_picture
from profcore.images.tiling import tile
from profcore.inspectors.names import INSPECTORS
from profcore.inspectors.report import lines, tables
from profcore.models.config import model_shape
from profcore.service.questions import inspection_key
from profcore.service.words import environment_line
from profcore.spec.queries import DEFAULT_PROMPT, Picture
from profcore.spec.stages import State
from profcore.spec.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL_S = 0.3
_WITHOUT_PICTURE = ("moe-layer", "structure")


def show() -> None:
    """Draw the tabs; only the open one is looked at."""
    titles = [each.title for each in INSPECTORS.values()]
    # What a tab holds is drawn when it is opened.
    for tab, (name, each) in zip(st.tabs(titles, key="tool", bind="query-params"), INSPECTORS.items(), strict=True):
        if tab.open:
            with tab:
                st.caption(f"{each.text} In place of the published `{each.script}`.")
                _tool(name)


def _tool(name: str) -> None:
    if not bar.has_devices():
        st.caption(plain(bar.problem()))
        return
    left, right = st.columns([1, 2.6], gap="large")
    with left:
        try:
            target = bar.target()
            arguments = _arguments(name)
        except UserError as error:
            say_error(error)
            return
        key = inspection_key(target, arguments)
        found = service().questions.inspection(key)
        under_way = found is not None and found["state"] in ("queued", "working")
        look = pressed(
            "Look again" if found and not under_way else "Look",
            f"look-{name}",
            type="primary",
            icon=":material/search:",
            width="stretch",
            disabled=under_way,
        )
        if look or (found is None and INSPECTORS[name].cheap and _first_time(key)):
            try:
                service().questions.ask_inspection(target, arguments)
            except UserError as error:
                say_error(error)
            else:
                st.rerun()
    with right:
        if found is None:
            st.info(f"Press **Look**: the tool looks at **{plain(target.model)}** on **{plain(target.device)}**.")
        elif under_way:
            fragment(run_every=_POLL_S)(_follow)(key)
        elif found["state"] == "failed":
            st.error(f"This inspection failed: {plain(found['text'])}")
        else:
            _draw(name, found["result"])


def _first_time(key: str) -> bool:
    """Whether this session has not asked so yet: what is asked unasked is asked once, however it ends."""
    asked: set[str] = st.session_state.setdefault("looked-by-itself", set())
    known = key in asked
    asked.add(key)
    return not known


def _arguments(name: str) -> dict[str, Any]:
    """Draw what a tool takes, and give it.

    Raises:
        UserError: It is not possible.
    """
    arguments: dict[str, Any] = {"name": name}
    if name in _WITHOUT_PICTURE:
        return arguments
    picture = controls.choose_picture(f"{name}-")
    if picture is None:
        raise UserError("Upload a picture, or choose another kind.")
    arguments["picture"] = picture.to_dict()
    if name in ("tokens", "flow", "topk", "check"):
        arguments["prompt"] = st.text_input("Prompt", DEFAULT_PROMPT, key=f"{name}-prompt")
    if name == "topk":
        config = model_shape(bar.target().model)
        text = st.text_input("Values of top-k", key="topk-values", placeholder="1 2 4 8 16 32")
        if text.strip():
            arguments["values"] = [int(value) for value in parse_values(CATALOGUE["moe_topk"], text, config)]
    if name == "check":
        arguments["knobs"] = st.toggle("Turn every knob under each engine", key="check-knobs", help="Takes longer.")
        expected = st.text_input("File of expected outputs", key="check-expected", placeholder="expected.safetensors")
        # Absolute, since the worker that reads it stands elsewhere.
        arguments["expected"] = str(service().roots.path(expected.strip()).absolute()) if expected.strip() else None
    return arguments


def _follow(key: str) -> None:
    found = service().questions.inspection(key)
    if found is None or found["state"] in ("done", "failed"):
        st.rerun()
        return
    st.info(waiting(key) if found["state"] == "queued" else f"{plain(found['text'])}…", icon=":material/hourglass_top:")


def _draw(name: str, found: dict[str, Any]) -> None:
    st.caption(plain(environment_line(found["environment"], State.DONE)))
    said = [plain(line) for line in lines(name, found)]
    if not found.get("passed", True):
        st.error(said[0])
    elif "passed" in found:
        st.success(said[0])
    else:
        st.markdown(said[0])
    for sentence in said[1:]:
        st.markdown(sentence)
    _DRAWN.get(name, lambda found: None)(found)
    for title, table in tables(name, found).items():
        if name == "flow":
            # A stage is opened when it is wanted: there are hundreds of modules.
            with st.expander(f"{plain(title)}: {counted(len(table), 'module call')}"):
                st.dataframe(table, hide_index=True)
        else:
            st.subheader(plain(title))
            st.dataframe(table, hide_index=True)


def _draw_tokens(found: dict[str, Any]) -> None:
    picture = load_picture(Picture(**found["picture"]))
    tiles = tile(*picture.size, found["num_crops"] - 1)
    drawn = charts.tiling(picture, tiles, charts.PAGE_WIDTH)
    figure_view.draw(drawn, "tokens_tiling", "inspect-tiling", saved=charts.tiling(picture, tiles))


def _draw_pooling(found: dict[str, Any]) -> None:
    names = [each["crop"] for each in found["crops"]]
    chosen = st.selectbox("Crop", names, index=min(1, len(names) - 1), key="pooled-crop")
    crop = found["crops"][names.index(chosen)]
    figure_view.draw(charts.pooling(crop["kept"], found["pooling_window"][0]), "pooling", "inspect-pooling")
    st.caption(
        "Each square is a patch, each outlined window a token; faint windows are dropped: another crop has them."
    )


def _draw_topk(found: dict[str, Any]) -> None:
    left, middle = st.columns(2)
    top_k = left.selectbox("Top-k", found["values"], index=len(found["values"]) // 2, key="drawn-topk")
    phase = middle.segmented_control("Phase", ["prefill", "decode"], default="prefill", required=True, key="phase")
    for column, picture in zip(st.columns(2), ("real", "solid"), strict=True):
        each = next(
            row
            for row in found["routing"]
            if (row["picture"], row["top_k"], row["phase"]) == (picture, top_k, phase or "prefill")
        )
        with column:
            st.markdown(f"**{'The picture' if picture == 'real' else 'A solid colour of the same size'}**")
            figure_view.draw(charts.routing(each), f"routing_{picture}_top{top_k}_{phase}", f"inspect-{picture}")


_DRAWN: dict[str, Callable[[dict[str, Any]], None]] = {
    "tokens": _draw_tokens,
    "pooling": _draw_pooling,
    "topk": _draw_topk,
}
