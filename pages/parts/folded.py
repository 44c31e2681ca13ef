"""Controls that are folded away, made once somebody opens them or once one of them holds what it did not begin with.

What a page draws inside a closed expander costs a browser as much as what is in view. Until then a control's value is
the one that it would begin with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import streamlit as st

from pages.parts.text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

Value = TypeVar("Value")


def folded(label: str, key: str, controls: Collection[str], draw: Callable[[], Value], untouched: Value) -> Value:
    """Draw an expander, and its controls where they are needed; gives what they say.

    Once made they stay, open or closed, so that what they hold is kept as that of any control is.

    Args:
        label: What the expander says.
        key: Tells it apart; that of whether it is open.
        controls: The keys of the widgets within that are drawn first, by which the address or another part of a page
            sets them.
        draw: Draws the widgets, and gives what they say.
        untouched: What they say as long as nobody has touched them.
    """
    place = st.expander(plain(label), key=key, on_change="rerun")
    if not (place.open or any(name in st.session_state or name in st.query_params for name in controls)):
        return untouched
    with place:
        return draw()
