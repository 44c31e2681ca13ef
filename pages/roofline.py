"""Roofline: what each stage achieves under what the card can do, and so what it is bound by."""

import streamlit as st

from pages.parts import navigation, roofline_view

navigation.require_app()
st.title("Roofline")
st.markdown(
    "What could make a stage faster? A point is a stage at one setting: how many FLOPs it has for each byte, and how "
    "many it does in a second. The line above it is what the card can do there, with its memory or its arithmetic."
)
roofline_view.show()
