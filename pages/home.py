"""Home: what this is, what it measures on, the latest runs, where to begin."""

import streamlit as st

from pages.parts import bar, latest, navigation

navigation.require_app()
st.title("Where does the time go?")
st.markdown(
    "profcore measures one inference of MolmoE, a mixture-of-experts vision-language model, stage by stage: "
    "**vision encoder, projector, LLM prefill, LLM decode**. Choose a knob, move its sliders, press Run, and see what "
    "each step of it buys. Every sample is kept."
)
for column, (page, title, text) in zip(
    st.columns(4),
    (
        ("vision_tokens", "Vision tokens", "Image grids 1×1 to 1×12, until the first token."),
        ("moe_topk", "MoE top-k", "Experts per token, 1 to 64, in prefill and decode."),
        ("active_blocks", "Active blocks", "How many of the 16 transformer blocks run."),
        ("output_tokens", "Output tokens", "Answers of 1 to 200 tokens and longer."),
    ),
    strict=True,
):
    with column.container(border=True, height="stretch"):
        st.page_link(f"pages/{page}.py", label=f"**{title}**")
        st.caption(text)
bar.say_target()
latest.show()
