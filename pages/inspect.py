"""Inspect: what the live model is, and whether its knobs turn."""

import streamlit as st

from pages.parts import inspect_view, navigation

navigation.require_app()
st.title("Inspect")
st.markdown(
    "What is this model, and did the knob really turn? Each tool looks at the model that the worker holds, between "
    "runs; those that measure nothing look at once. What a page shows is what `python -m profcore inspect` prints."
)
inspect_view.show()
