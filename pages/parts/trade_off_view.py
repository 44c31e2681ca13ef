"""A joint run weighed: which run, which quality, and the three looks at it."""

from __future__ import annotations

import streamlit as st

from pages.parts import answer_length_view, budget_view, frontier_view, latency_model_view, run_parts, trade_off_data
from pages.parts.state import service
from pages.parts.text import plain, say_error
from profcore.errors import UserError
from profcore.experiments.knobs import JOINT
from profcore.results.quality import CUT_AS_SET, RANDOM_QUALITY
from profcore.service.words import environment_line
from profcore.spec.stages import State
from profcore.tradeoff.points import NO_QUALITY, QUALITIES, WORK_KEPT, quality_note

_LOOKS = {
    "Frontier": frontier_view.show,
    "Budget": budget_view.show,
    "Latency model": latency_model_view.show,
    "Length of the answer": answer_length_view.show,
}


def show() -> None:
    """Draw the choice of a joint run, and the look that is chosen."""
    run_id = run_parts.pick(JOINT.name, "Measure on the page *Joint knobs*, or import joint results on *Home*.")
    if run_id is None:
        return
    run = service().store.run(run_id)
    if run is None:
        return
    st.caption(plain(environment_line(run["environment"], State(run["state"]), run["environments"])))
    try:
        points = trade_off_data.points(run_id)
    except UserError as error:
        say_error(error)
        return
    if points.missing:
        st.caption(f":material/warning: {plain(points.missing)}")
    quality = _quality(points.qualities)
    if points.qualities == [WORK_KEPT]:
        st.caption(f":material/info: {plain(NO_QUALITY)}")
    elif note := quality_note(points, quality):
        show_note = st.warning if note == RANDOM_QUALITY else st.caption
        show_note(plain(note))
    if quality == "accuracy":
        st.caption(CUT_AS_SET)
    look = st.segmented_control(
        "Look", list(_LOOKS), default=next(iter(_LOOKS)), required=True, key="look", bind="query-params", wrap=True
    )
    try:
        _LOOKS[look or next(iter(_LOOKS))](run, quality)
    except UserError as error:
        say_error(error)
    # Below what they are said of, which is not to wait for them.
    for sentence in trade_off_data.flags(run_id):
        st.caption(f":material/flag: {plain(sentence)}")


def _quality(known: list[str]) -> str:
    """Draw the choice of what counts as better, where there is one."""
    if len(known) == 1:
        return known[0]
    titles = {QUALITIES[name]: name for name in known}
    # Which are offered is in the key: other runs have others.
    chosen = st.segmented_control(
        "Better is",
        list(titles),
        default=next(iter(titles)),
        required=True,
        key=f"quality-{'-'.join(known)}",
        wrap=True,
    )
    return titles[chosen or next(iter(titles))]
