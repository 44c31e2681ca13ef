"""Cards side by side: one experiment on several cards, stage by stage."""

import streamlit as st

from pages.parts import cards_view, controls
from profcore.experiments.knobs import CATALOGUE

controls.shape()
st.title("Cards side by side")
st.markdown(
    "The same sweep, asked for alike, on each kind of card that measured it. What else differs between the runs is "
    "named. Below stand the cards of a run that several shared, and how far they agree."
)
titles = {experiment.title: experiment for experiment in CATALOGUE.values()}
chosen = st.segmented_control("Knob", list(titles), default="MoE top-k", required=True, key="knob", bind="query-params")
cards_view.show(titles[chosen or "MoE top-k"])
