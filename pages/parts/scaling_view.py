"""FLOPs scaling on the top-k page: does latency grow as the arithmetic does?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.parts.state import service
from pages.parts.text import plain
from profcore.comparisons import flops_scaling
from profcore.stats import SMALLEST_FOR_RATIO

if TYPE_CHECKING:
    from profcore.results.sweep import Result


def explain(result: Result) -> None:
    """What the growth means, up to top-k 8 as published where that was measured, and every stage's in a table."""
    if mixed := flops_scaling.mixed_knobs(result.samples):
        st.info(plain(mixed))
    rows = service().results.follows("scaling", [result.run["id"]], lambda: flops_scaling.run_scaling(result))
    if rows.empty:
        return
    values = set(rows["top_k"])
    for sentence in flops_scaling.explain_scaling(rows, 8 if 8 in values else None):
        st.markdown(f"- {plain(sentence)}")
    st.dataframe(flops_scaling.display_scaling(rows), hide_index=True)
    assumed = flops_scaling.assumed(result)
    st.caption(
        "FLOPs count 2 per multiply-add, attention included and routed experts only; bytes are those that must be "
        "moved at least, by the experts that the prompt was routed to where they were counted. The 95 % "
        f"interval of a ratio of medians needs {SMALLEST_FOR_RATIO} samples of each."
        + (f" {plain(assumed)}" if assumed else "")
    )
