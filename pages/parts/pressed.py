"""Buttons whose work is done with what the page holds now.

A callback's arguments are those of the page before what was typed last, so a click right after typing would measure
the old values. Here a click is only noted by a callback, and acted on where the page is drawn anew.
"""

from __future__ import annotations

from typing import Any

import streamlit as st


def pressed(label: str, key: str, **more: Any) -> bool:
    """Draw a button, and say whether it was pressed; once for each press.

    Args:
        label: What it says.
        key: Tells it apart.
        more: Further arguments of `st.button`.
    """
    st.button(label, key=key, on_click=_note, args=(key,), **more)
    return bool(st.session_state.pop(f"pressed {key}", False)) and not more.get("disabled", False)


def _note(key: str) -> None:
    st.session_state[f"pressed {key}"] = True
