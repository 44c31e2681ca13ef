"""The dashboard's pages, in the order of the menu."""

from __future__ import annotations

import streamlit as st

from pages.parts.figure_view import SHRINKS
from profcore.paths import REPOSITORY

_BAR_DRAWN = "bar drawn"
# What is chosen stands out by its ground and its line. Written in the primary colour too, as Streamlit has it, it would
# be too faint on a dark ground, since the same colour is the ground of white letters on buttons.
_CHOSEN_IS_READ = """<style>
button[data-selected=true], button[data-selected=true] *, [role=tab][aria-selected=true],
[role=tab][aria-selected=true] *, [data-testid="stSliderThumbValue"], [data-testid="stSliderThumbValue"] * {
    color: inherit !important;
}
</style>"""
# Streamlit's own sign that a page is being drawn holds a button that stops the drawing: whoever reads "Stop" there
# takes it for the run's. No option hides it; what says that the connection is lost stays.
_NO_OTHER_STOP = """<style>
[data-testid="stStatusWidget"]:has([data-testid="stStatusWidgetRunningIcon"]) { display: none; }
</style>"""

# What a chart of a fixed size is drawn into is as wide as it, whatever the page has: on a telephone all would scroll.
_DRAWN_WHOLE = f"""<style>
[class*="st-key-{SHRINKS}"] [data-testid="stElementContainer"],
[class*="st-key-{SHRINKS}"] [data-testid="stVegaLiteChart"] {{ max-width: 100%; }}
[class*="st-key-{SHRINKS}"] svg.marks {{ max-width: 100%; height: auto; }}
</style>"""


def navigate() -> st.Page:
    """Set up the menu and give the page that was asked for."""
    # An icon by name would be fetched from a host outside, and so would a page's own without this one.
    st.set_page_config(page_icon=str(REPOSITORY / "data" / "icon.png"), layout="wide")
    page = _menu()
    name_tab(page.title)
    st.html(_NO_OTHER_STOP + _CHOSEN_IS_READ + _DRAWN_WHOLE)
    return page


def name_tab(*words: str) -> None:
    """Name the browser's tab after what the page shows, the most telling first."""
    st.set_page_config(page_title=" · ".join((*words, "profcore")))


def _menu() -> st.Page:
    """The pages in the order of the menu, and the one that was asked for."""
    return st.navigation(
        {
            "": [st.Page("pages/home.py", title="Home", icon=":material/home:", default=True)],
            "Knobs": [
                st.Page("pages/vision_tokens.py", title="Vision tokens", icon=":material/grid_view:"),
                st.Page("pages/moe_topk.py", title="MoE top-k", icon=":material/alt_route:"),
                st.Page("pages/active_blocks.py", title="Active blocks", icon=":material/layers:"),
                st.Page("pages/output_tokens.py", title="Output tokens", icon=":material/notes:"),
                st.Page("pages/joint.py", title="Joint knobs", icon=":material/tune:"),
                st.Page("pages/trade_off.py", title="Trade-off", icon=":material/balance:"),
            ],
            "Real use": [
                st.Page("pages/motivation.py", title="Real pictures", icon=":material/photo_library:"),
                st.Page("pages/size_to_latency.py", title="Size to latency", icon=":material/photo_size_select_large:"),
                st.Page("pages/compare.py", title="Sweep and pictures", icon=":material/stacked_line_chart:"),
            ],
            "Explain": [
                st.Page("pages/engines.py", title="Engines side by side", icon=":material/compare_arrows:"),
                st.Page("pages/models.py", title="Models side by side", icon=":material/view_column:"),
                st.Page("pages/cards.py", title="Cards side by side", icon=":material/developer_board:"),
                st.Page("pages/roofline.py", title="Roofline", icon=":material/roofing:"),
                st.Page("pages/inspect.py", title="Inspect", icon=":material/biotech:"),
                st.Page("pages/why.py", title="Why this long?", icon=":material/search_insights:"),
            ],
            "Results": [
                st.Page("pages/runs.py", title="Runs", icon=":material/database:"),
                st.Page("pages/history.py", title="History", icon=":material/timeline:"),
                st.Page("pages/sql.py", title="SQL", icon=":material/terminal:"),
            ],
        },
        # Every page is in view at once: a menu that hides some is read as all there is.
        expanded=True,
    )


def require_app() -> None:
    """See that app.py ran before a page in this run.

    Until some session has called `st.navigation`, Streamlit takes `pages/` for its older kind of multipage app and
    runs the page of a direct link alone, without the bar. Then the menu is set up here and everything run again.
    """
    if not st.session_state.pop(_BAR_DRAWN, False):
        navigate()
        st.rerun()


def bar_is_drawn() -> None:
    """Say, for `require_app`, that app.py has done its part."""
    st.session_state[_BAR_DRAWN] = True
