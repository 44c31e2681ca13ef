"""Runs: everything that was measured or taken in; compare, rename, delete, download."""

import streamlit as st

from pages.parts import navigation, notices, runs_view

navigation.require_app()
st.title("Runs")
st.markdown(
    "Everything that was measured or taken in. Choose one run to rename, delete or download it, two or more to compare "
    "them."
)
notices.show()
runs_view.show()
