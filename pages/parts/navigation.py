"""The dashboard's pages, in the order of the menu."""

from __future__ import annotations

import streamlit as st


def navigate() -> st.Page:
    """Set up the menu and give the page that was asked for."""
    return st.navigation(
        {
            "": [st.Page("pages/home.py", title="Home", icon=":material/home:", default=True)],
            "Knobs": [
                st.Page("pages/vision_tokens.py", title="Vision tokens", icon=":material/grid_view:"),
                st.Page("pages/moe_topk.py", title="MoE top-k", icon=":material/alt_route:"),
                st.Page("pages/active_blocks.py", title="Active blocks", icon=":material/layers:"),
                st.Page("pages/output_tokens.py", title="Output tokens", icon=":material/notes:"),
            ],
        }
    )


def require_app() -> None:
    """See that app.py runs around a page.

    Until some session has called `st.navigation`, Streamlit takes `pages/` for its older kind of multipage app and
    runs the page of a direct link alone, without the bar. Then the menu is set up here and everything run again.
    """
    if "device" not in st.session_state:
        navigate()
        st.rerun()
