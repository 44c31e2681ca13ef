"""Knob 4, output tokens: how long the answer is."""

import streamlit as st

from pages.parts import answer_length_view, beside_view, clone, controls, head_start, run_view
from profcore.experiments.knobs import CATALOGUE
from profcore.results.sweep import Result

EXPERIMENT = CATALOGUE["output_tokens"]
config = controls.shape()


def lengths() -> list[int]:
    """The answer lengths that the slider stands for."""
    first, last = st.select_slider(
        "Output tokens, from and to", clone.LENGTHS, (1, 200), key="lengths", bind="query-params"
    )
    return [length for length in clone.LENGTHS if first <= length <= last]


def _below(result: Result) -> None:
    answer_length_view.section(result)
    beside_view.section(result)


st.title("Output tokens")
st.markdown(
    "What does a longer answer cost? Exactly as many tokens are generated as asked for: "
    "the end-of-text token does not stop a run."
)
head_start.beside(
    lambda: controls.choose_sweep(EXPERIMENT, config, lengths), lambda: run_view.show(EXPERIMENT, below=_below)
)
