"""Presses on buttons whose work takes a while."""

from streamlit.testing.v1 import AppTest

from tests.support import texts

SCRIPT = """
import streamlit as st
from pages.parts.pressed import acting, pressed

def interrupted():
    # As where another drawing of the page is asked for while the spinner is drawn, once.
    if not st.session_state.get("was"):
        st.session_state["was"] = True
        st.rerun()

if pressed("Run", "run"):
    spinner = st.spinner
    def spinning(text):
        interrupted()
        return spinner(text)
    st.spinner = spinning
    try:
        with acting("run", "Looking…"):
            st.session_state["done"] = st.session_state.get("done", 0) + 1
    finally:
        st.spinner = spinner
st.caption(f"done {st.session_state.get('done', 0)} times")
"""


def test_a_press_whose_drawing_is_ended_by_another_is_acted_on_by_that_one_and_once():
    test = AppTest.from_string(SCRIPT).run()
    test.button(key="run").click().run()
    assert not test.exception
    assert "done 1 times" in texts(test.caption)
    test.run()
    assert "done 1 times" in texts(test.caption)
