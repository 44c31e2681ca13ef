"""The run that is under way, in the sidebar of every page, and in the name of the browser's tab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.parts import leads, navigation, run_parts
from pages.parts.state import fragment, service
from pages.parts.text import plain
from profcore.spec.stages import State

if TYPE_CHECKING:
    from profcore.service.under_way import UnderWay

_LOOK_S = 1.0


@fragment(run_every=_LOOK_S)
def show(page: str) -> None:
    """Draw what is under way, whoever asked for it and on whatever page; nothing where that is nothing.

    Args:
        page: What the page is called.
    """
    runs = service().under_way()
    if not runs:
        navigation.name_tab(page)
        return
    run, waiting = runs[0], len(runs) - 1
    navigation.name_tab(f"{run.done}/{run.planned}", page)
    with st.container(border=True, key="under-way"):
        _say(run)
        if waiting:
            st.caption(f"{waiting:,} more {'waits' if waiting == 1 else 'wait'}.")


def _say(run: UnderWay) -> None:
    path, query = leads.lead(run.experiment, run.id, from_anywhere=True)
    st.page_link(path, label=f"**{plain(run.title)}**", query_params=query)
    stopping = service().is_stopping(run.id)
    # What is measured is said by its count; what takes long before has words of its own.
    phase = "" if run.phase == "Measuring" else run.phase
    phase = phase or ("Queued" if run.state is State.QUEUED else "")
    st.markdown(plain(" · ".join(part for part in (run.count, "" if stopping else run.time_left) if part)))
    # Above what comes and goes, so that it is in view on a low screen, and stays where it is.
    run_parts.stop_button(run.id, "stop-under-way")
    if phase and not stopping:
        st.caption(plain(phase))
