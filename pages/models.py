"""Models side by side: one picture seen by each, and the same experiment over all."""

import streamlit as st

from pages.parts import models_view, navigation

navigation.require_app()
st.title("Models side by side")
st.markdown(
    "One picture and one question, put to several models: what does each make of it, and what does each stage take? "
    "Then the same knob turned on each. Models are compared where they were measured on one card by one engine."
)
models_view.show()
