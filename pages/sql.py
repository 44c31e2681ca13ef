"""SQL: questions over everything that was measured or taken in."""

import streamlit as st

from pages.parts import navigation, sql_view

navigation.require_app()
st.title("SQL")
st.markdown(
    "Ask what no other page answers. A query reads a copy of the results in a process of its own: nothing it says can "
    "change them, and no file, network or setting is within its reach."
)
sql_view.show()
