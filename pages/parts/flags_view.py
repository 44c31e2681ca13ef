"""What leaving out samples would do that were taken while card or host was held back or shared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.parts.state import service
from pages.parts.tables import figures
from profcore.results.tables import display_without_flagged
from profcore.stats import SLOWED, any_flag

if TYPE_CHECKING:
    import pandas as pd

    from profcore.results.base import MeasuredRun

_MOST_LISTED = 1000


def explain_order(result: MeasuredRun) -> None:
    """What the charts of samples in their order show, and what the card did not say."""
    st.caption(
        "Each total over its setting's median, where settings have several samples, so that the knob does not hide "
        "what happened in time; below it what card and host were like right after each."
    )
    if result.samples["sm_clock_mhz"].isna().all():
        st.caption("Nothing was known of a card beside these samples.")


def show(result: MeasuredRun) -> None:
    """Draw the table, folded away; nothing where no sample is flagged."""
    table = service().results.follows(("without flagged",), [result.run["id"]], lambda: _without_flagged(result))
    if table is None:
        return
    with st.expander("What leaving flagged samples out would do", icon=":material/flag:"):
        figures(table, "setting", "latency")
        st.caption(
            "Flagged is what was taken while NVML named a limit that kept the clocks down, while another process was "
            f"on the card, or while the host took over {SLOWED:g} times as long for the same work as at its best. No "
            "figure here leaves them out; the samples say of each what it was."
        )


def _without_flagged(result: MeasuredRun) -> pd.DataFrame | None:
    if result.samples.empty or not any_flag(result.samples).any():
        return None
    return display_without_flagged(result.samples, result.settings).head(_MOST_LISTED)
