"""A picture's size, its tokens by the model's own rule, and the time to first token at that size."""

import streamlit as st

from pages.parts import navigation, size_view

navigation.require_app()
st.title("Size to latency")
st.markdown(
    "A picture of so many pixels: how many tokens does the model make of it, and how long until its first word? Tokens "
    "follow from the model's own rule; milliseconds from what was measured on a card, and from nothing else."
)
size_view.show()
