"""The first chart of a page that is opened is given a head start before what stands below it is sent.

A browser draws all that has arrived before it begins with a chart, whose code it loads first. What is sent while it is
at that makes the chart wait for tables and charts that nobody has scrolled to yet.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import streamlit as st
from streamlit import runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEAD_START_S = 0.5
"""About as long as a browser takes for what stands above a chart, and for the chart."""

BAR_S = 0.3
"""About as long as a browser takes for the chart of a run that has just begun, on a page that stands there already."""

_DRAWN, _AWAITED, _BAR = "page drawn last", "first chart awaited", "first bar awaited"


@contextmanager
def of_first_chart(page: str) -> Iterator[None]:
    """Within it a page is drawn; its first chart is given the start if another page, or none, was drawn before.

    Args:
        page: What tells it from other pages.
    """
    st.session_state[_AWAITED] = st.session_state.get(_DRAWN) != page
    st.session_state[_DRAWN] = page
    yield
    st.session_state[_AWAITED] = False


def chart_sent() -> None:
    """Say that a chart has been sent; waits where it is the first of a page that is opened in a browser."""
    if st.session_state.get(_AWAITED) and _is_served():
        time.sleep(HEAD_START_S)
    st.session_state[_AWAITED] = False


def waive() -> None:
    """Have no chart of this page waited for: what is under way is drawn anew soon, by one session after the other."""
    st.session_state[_AWAITED] = False


def expect_bar(run_id: str) -> None:
    """Say that somebody waits for a run's first bar, as after a press on Run."""
    st.session_state[_BAR] = run_id


def bar_sent(run_id: str) -> None:
    """Say that a run's bars have been sent; waits where they are the first and were expected."""
    if st.session_state.get(_BAR) == run_id:
        st.session_state[_BAR] = None
        if _is_served():
            time.sleep(BAR_S)


def beside(controls: Callable[[], None], shown: Callable[[], None]) -> None:
    """Draw a page's controls on the left, and on the right what it shows; on opening the page the latter first.

    Once somebody works with the page its controls come first: what they hold, and a press on Run, says what is shown.
    """
    left, right = st.columns([1, 2.6], gap="large")
    parts = [(left, controls), (right, shown)]
    for place, draw in reversed(parts) if st.session_state.get(_AWAITED) else parts:
        with place:
            draw()


def _is_served() -> bool:
    """Whether a browser draws the page: neither a bare run nor a test does, which have no server or feign one."""
    return runtime.exists() and type(runtime.get_instance()) is runtime.Runtime
