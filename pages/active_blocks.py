"""Knob 3, active blocks: how many of the transformer's blocks run."""

import streamlit as st

from pages.parts import controls, run_view
from profcore.experiments import CATALOGUE

EXPERIMENT = CATALOGUE["transformer_blocks_mask"]
config = controls.shape()


def counts() -> range:
    """The numbers of first blocks that the slider stands for."""
    total = config.n_layers
    first, last = st.slider(
        "Active blocks, first N from and to", 1, total, (1, total), key="range", bind="query-params"
    )
    return range(first, last + 1)


st.title("Active transformer blocks")
st.markdown(
    "What does each transformer block cost? Blocks are skipped by a mask on the loaded model: a skipped block runs "
    "nothing and keeps no cache."
)
left, right = st.columns([1, 2.6], gap="large")
with left:
    controls.choose_sweep(EXPERIMENT, config, counts)
with right:
    run_view.show(EXPERIMENT, run_view.prefill_and_decode(EXPERIMENT))
