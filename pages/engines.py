"""Engines side by side: the same sweep under each, and what a step of the knob costs under each."""

import streamlit as st

from pages.parts import controls, engines_view, head_start
from profcore.experiments.knobs import CATALOGUE

config = controls.shape()
st.title("Engines side by side")
st.markdown(
    "The same arithmetic, executed three ways, beside transformers' own `generate`, of which time to first token and "
    "decode per token are known. Where kernels are launched one by one, much of what a knob does is "
    "hidden behind the launching; what a step of it costs shows only where the device is kept busy."
)
titles = {experiment.title: experiment for experiment in CATALOGUE.values()}
chosen = st.segmented_control("Knob", list(titles), default="MoE top-k", required=True, key="knob", bind="query-params")
experiment = titles[chosen or "MoE top-k"]
head_start.beside(lambda: engines_view.measure(experiment, config), lambda: engines_view.show(experiment))
