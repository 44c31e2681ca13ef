"""What a person should know of what was not taken in: a notice, no error, since everything else goes on."""

from __future__ import annotations

import streamlit as st

from pages.parts.state import service
from pages.parts.text import plain


def show() -> None:
    """Draw a line for each; usually nothing."""
    for text in service().notices():
        st.info(plain(text), icon=":material/info:")
