"""Buttons whose work is done with what the page holds now.

A callback's arguments are those of the page before what was typed last, so a click right after typing would measure
the old values. Here a click is only noted by a callback, and acted on where the page is drawn anew.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.parts.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

_PRESSED, _PAGE = "pressed ", "page of presses"


def pressed(label: str, key: str, **more: Any) -> bool:
    """Draw a button, and say whether it was pressed; once for each press.

    Args:
        label: What it says.
        key: Tells it apart.
        more: Further arguments of `st.button`.
    """
    st.button(label, key=key, on_click=_note, args=(key,), **more)
    return bool(st.session_state.pop(_PRESSED + key, False)) and not more.get("disabled", False)


@contextmanager
def acting(key: str, text: str) -> Iterator[None]:
    """A spinner within which is done what was pressed, if that takes a while.

    To draw the spinner may end this drawing of the page, where another is asked for meanwhile: that one acts on it.

    Args:
        key: The button's.
        text: What the spinner says.
    """
    _note(key)
    with st.spinner(plain(text)):
        del st.session_state[_PRESSED + key]
        yield


def tell_left(page: str) -> None:
    """Tell of what was pressed on a page that was left before it was drawn with it, and forget that.

    Kept, it would begin whenever somebody comes back.

    Args:
        page: The page that is drawn now, as told from others.
    """
    before, st.session_state[_PAGE] = st.session_state.get(_PAGE), page
    left = [key for key in st.session_state if str(key).startswith(_PRESSED)]
    if before == page or not left:
        return
    for key in left:
        del st.session_state[key]
    st.toast("The page was left before what you pressed had begun: press it again.", icon=":material/warning:")


def _note(key: str) -> None:
    st.session_state[_PRESSED + key] = True
