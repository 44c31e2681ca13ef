"""Trade-off: quality against latency, a latency model, and the setting for a budget."""

import streamlit as st

from pages.parts import navigation, trade_off_view

navigation.require_app()
st.title("Trade-off")
st.markdown(
    "Which setting, for how many milliseconds? A joint run measures several knobs at once. Here its settings are "
    "weighed against each other, those between are predicted, and a budget finds the best one."
)
trade_off_view.show()
