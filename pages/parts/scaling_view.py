"""FLOPs scaling on the top-k page: does latency grow as the arithmetic does?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from profcore import charts
from profcore.comparisons import flops_scaling
from profcore.spec.stages import Stage
from profcore.stats import SMALLEST_FOR_RATIO

if TYPE_CHECKING:
    import altair as alt

    from profcore.results.sweep import Result


def draw(result: Result) -> list[alt.LayerChart]:
    """The growth of prefill and decode; none where there are no two values of top-k with samples."""
    rows = flops_scaling.run_scaling(result)
    metrics = [Stage.LLM_PREFILL.column, Stage.LLM_DECODE.column]
    return [charts.scaling(rows, metric) for metric in metrics if metric in set(rows["metric"])]


def explain(result: Result) -> None:
    """What the growth means, up to top-k 8 as published where that was measured, and every stage's in a table."""
    if mixed := flops_scaling.mixed_knobs(result.samples):
        st.info(mixed)
    rows = flops_scaling.run_scaling(result)
    if rows.empty:
        return
    values = set(rows["top_k"])
    for sentence in flops_scaling.explain_scaling(rows, 8 if 8 in values else None):
        st.markdown(f"- {sentence}")
    st.dataframe(flops_scaling.display_scaling(rows), hide_index=True)
    assumed = flops_scaling.assumed(result)
    st.caption(
        "FLOPs count 2 per multiply-add, attention included and routed experts only; bytes are those that must be "
        "moved at least, by the experts that the prompt was routed to where they were counted. The 95 % "
        f"interval of a ratio of medians needs {SMALLEST_FOR_RATIO} samples of each."
        + (f" {assumed}" if assumed else "")
    )
