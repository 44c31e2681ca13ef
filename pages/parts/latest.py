"""The latest runs of all knobs, and taking in a result file."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.parts import import_view
from pages.parts.state import service
from profcore.experiments.motivation import experiment_title

_SHOWN = 12


def show() -> None:
    """Draw the table of the latest runs, kept up to date, and the upload."""
    st.subheader("Latest runs")
    _table()
    import_view.show()


@st.fragment(run_every=2.0)
def _table() -> None:
    runs = service().runs().head(_SHOWN)
    if runs.empty:
        st.info("Nothing has been measured yet. Begin with Vision tokens: choose grids and press Run.")
        return
    rows = [
        {
            "When (UTC)": pd.Timestamp(run["created_at"]).strftime("%Y-%m-%d %H:%M:%S"),
            "Experiment": experiment_title(run["experiment"]),
            "State": run["state"],
            "Samples": run["num_samples"],
            "Measured on": run["title"],
            "Source": run["source"],
        }
        for run in runs.to_dict("records")
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True)
