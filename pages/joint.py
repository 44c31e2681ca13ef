"""Several knobs at once: which combinations, and what each costs and is worth."""

import streamlit as st

from pages.parts import controls, head_start, joint_controls, joint_view

config = controls.shape()
st.title("Joint knobs")
st.markdown(
    "What do combinations of knobs cost? Each setting turns several at once; all are visited in random order, round by "
    "round, as a knob's own sweep is."
)
head_start.beside(lambda: joint_controls.choose(config), joint_view.show)
