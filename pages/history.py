"""History: an experiment's medians over dates and versions, with the changes that the intervals show."""

import streamlit as st

from pages.parts import history_view, navigation

navigation.require_app()
st.title("History")
st.markdown(
    "Has a new version made anything slower? Here are runs that were measured alike but for versions. Each is compared "
    "with the one before it, and a change is marked where its interval says so."
)
history_view.show()
