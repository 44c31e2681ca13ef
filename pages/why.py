"""Why one setting takes as long as it does: a profile pass on it."""

import streamlit as st

from pages.parts import navigation, why_view

navigation.require_app()
st.title("Why this long?")
st.markdown(
    "A profile pass of one setting: how much of the time the device works, in which parts of a block, and how far that "
    "is from what it could do. It is never mixed into a run's samples."
)
left, right = st.columns([1, 2.6], gap="large")
with left:
    key = why_view.choose()
with right:
    why_view.show(key)
