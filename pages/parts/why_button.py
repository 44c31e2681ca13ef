"""The way from a run's setting to why it takes as long as it does, for whom a click on a bar is no way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from profcore.results.sweep import Result


def show(result: Result) -> None:
    """Draw the choice of a setting with the button that leads to its page."""
    measured = result.summary["setting"].unique()
    rows = result.settings[result.settings["setting"].isin(measured)].sort_values(["x", "setting"])
    titles = dict(zip(rows["setting"].tolist(), rows["title"].tolist(), strict=True))
    if not titles:
        return
    run_id = result.run["id"]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        # The run is in the key: another's settings are another choice.
        setting = st.selectbox(
            "Setting", list(titles), format_func=lambda index: titles[index], key=f"why-of-{run_id}", width=280
        )
        query = {"run": run_id, "setting": str(setting)}
        st.page_link("pages/why.py", label="Why this long?", icon=":material/search_insights:", query_params=query)
