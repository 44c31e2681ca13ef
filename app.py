"""The dashboard's entry: navigation, and the bar that every page shares."""

import streamlit as st

from pages.parts import bar, navigation

st.set_page_config(page_title="profcore", page_icon=":material/timer:", layout="wide")
page = navigation.navigate()
bar.show()
navigation.bar_is_drawn()
page.run()
