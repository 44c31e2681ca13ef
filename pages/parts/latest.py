"""The latest runs of all knobs, which open on a click, and taking in a result file."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from pages.parts import import_view, leads
from pages.parts.state import fragment, service
from profcore.experiments.motivation import experiment_title

_SHOWN = 12


def show() -> None:
    """Draw the table of the latest runs, kept up to date, and the upload."""
    st.subheader("Latest runs")
    _table()
    import_view.show()


@fragment(run_every=2.0)
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
    # A table of other runs is another table: a choice in the old one would open the wrong run.
    event: Any = st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        on_select="rerun",
        selection_mode=["single-row", "single-cell"],
        key=f"latest-{hash(tuple(runs['id']))}",
        alt="The latest runs; choosing one opens it",
    )
    st.caption("Click a run to open it.")
    chosen = [*event.selection.rows, *(row for row, _ in event.selection.cells)]
    if chosen:
        _open(runs.iloc[chosen[0]])


def _open(run: pd.Series) -> None:
    """Go to the page that shows a run."""
    page, query = leads.lead(run["experiment"], run["id"])
    st.switch_page(page, query_params=query)
