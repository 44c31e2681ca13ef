"""Home: what was found, what this measures on, the latest runs, where to begin."""

import streamlit as st

from pages.parts import bar, findings_view, latest, navigation, notices

navigation.require_app()
st.title("Where does the time go?")
st.markdown(
    "profcore measures one inference of a vision-language model, MolmoE or one of transformers', stage by stage: "
    "**vision encoder, projector, LLM prefill, LLM decode**. Choose a knob, move its sliders, press Run, and see what "
    "each step of it buys. Every sample is kept."
)
found = st.container()
bar.say_target()
notices.show()
latest.show()
# Last, since it takes a second or two where the runs are others than at the last look: the rest is there by then.
with found:
    findings_view.show()
