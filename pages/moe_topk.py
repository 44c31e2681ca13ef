"""Knob 2, MoE top-k: how many experts each token is routed to."""

import streamlit as st

from pages.parts import clone, controls, head_start, quality_view, run_view, scaling_view
from profcore.charts.views import QUALITY, SCALING
from profcore.experiments.knobs import CATALOGUE

EXPERIMENT = CATALOGUE["moe_topk"]
config = controls.shape()


def values() -> list[int]:
    """The powers of two that the slider stands for."""
    powers = [power for power in clone.TOP_KS if power <= config.num_experts]
    last = 32 if 32 in powers else powers[-1]
    chosen = st.select_slider("Top-k, doubling from and to", powers, (1, last), key="topks", bind="query-params")
    return [power for power in powers if chosen[0] <= power <= chosen[1]]


st.title("MoE top-k")
st.markdown(
    "What does routing each token to more experts cost? Top-k is set in the router of every block; "
    "nothing else changes."
)
head_start.beside(
    lambda: controls.choose_sweep(EXPERIMENT, config, values),
    lambda: run_view.show(EXPERIMENT, {SCALING: scaling_view.explain, QUALITY: quality_view.explain}),
)
