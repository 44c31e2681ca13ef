"""Knob 3, active blocks: how many of the transformer's blocks run."""

import streamlit as st

from pages.parts import block_controls, controls, head_start, quality_view, run_view
from profcore.charts.views import QUALITY
from profcore.experiments.knobs import CATALOGUE

EXPERIMENT = CATALOGUE["transformer_blocks_mask"]
config = controls.shape()

st.title("Active transformer blocks")
st.markdown(
    "What does each transformer block cost? Blocks are skipped by a mask on the loaded model: a skipped block runs "
    "nothing and keeps no cache."
)
head_start.beside(
    lambda: controls.choose_sweep(EXPERIMENT, config, lambda: block_controls.choose(config)),
    lambda: run_view.show(EXPERIMENT, explained={QUALITY: quality_view.explain}),
)
