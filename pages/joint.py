"""Several knobs at once: which combinations, and what each costs and is worth."""

import streamlit as st

from pages.parts import controls, joint_controls, joint_view

config = controls.shape()
st.title("Joint knobs")
st.markdown(
    "What do combinations of knobs cost? Each setting turns several at once; all are visited in random order, round by "
    "round, as a knob's own sweep is."
)
left, right = st.columns([1, 2.6], gap="large")
with left:
    joint_controls.choose(config)
with right:
    joint_view.show()
