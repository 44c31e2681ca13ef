"""Motivation experiments: what real pictures cost."""

import streamlit as st

from pages.parts import controls, head_start, motivation_controls, motivation_view, tiling_view
from profcore.experiments.motivation import MOTIVATION

config = controls.shape()
st.title("Real pictures")
st.markdown(
    "The Motivation experiments measure pictures and questions of a data set, each picture tiled by the model's own "
    "rule, so that its vision tokens are those of real use."
)
TILING = "6 Tiling"
titles = {f"{experiment.number} {experiment.title}": experiment for experiment in MOTIVATION.values()}
first = next(iter(titles))
chosen = st.segmented_control(
    "Experiment", [*titles, TILING], default=first, required=True, key="motivation", bind="query-params", wrap=True
)
if chosen == TILING:
    st.caption("How does a picture become crops, and how many tokens does each bound on them give?")
    tiling_view.show()
else:
    experiment = titles[chosen or first]
    st.caption(experiment.text)
    head_start.beside(lambda: motivation_controls.choose(experiment, config), lambda: motivation_view.show(experiment))
