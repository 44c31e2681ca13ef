"""The latest runs of all knobs, and taking in a result file."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.parts.state import service
from profcore.errors import UserError
from profcore.experiments import CATALOGUE

_SHOWN = 12


def show() -> None:
    """Draw the table of the latest runs, kept up to date, and the upload."""
    st.subheader("Latest runs")
    _table()
    with st.expander("Take in a spool or a profiling result", icon=":material/upload:"):
        uploaded = st.file_uploader("Result JSON (published format or ours) or spool", key="result-file")
        if uploaded is not None:
            try:
                received = service().receive(uploaded.getvalue(), uploaded.name)
                was = "is in" if received.new else "was here before"
                st.success(f"Run {received.run_id} {was}. {received.note}")
            except UserError as error:
                st.error(str(error))


@st.fragment(run_every=2.0)
def _table() -> None:
    runs = service().runs().head(_SHOWN)
    if runs.empty:
        st.info("Nothing has been measured yet. Begin with Vision tokens: choose grids and press Run.")
        return
    rows = [
        {
            "When (UTC)": pd.Timestamp(run["created_at"]).strftime("%Y-%m-%d %H:%M"),
            "Knob": CATALOGUE[run["experiment"]].title,
            "State": run["state"],
            "Samples": run["num_samples"],
            "Measured on": run["title"],
            "Source": run["source"],
        }
        for run in runs.to_dict("records")
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True)
