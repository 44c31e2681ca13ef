"""Knob 4, output tokens: how long the answer is."""

import streamlit as st

from pages.parts import beside_view, controls, run_view
from profcore import charts
from profcore.experiments.knobs import CATALOGUE
from profcore.spec.stages import MODEL_STAGES

EXPERIMENT = CATALOGUE["output_tokens"]
config = controls.shape()


def lengths() -> list[int]:
    """The answer lengths that the slider stands for."""
    offered = [*EXPERIMENT.values, 500, 1000]
    first, last = st.select_slider("Output tokens, from and to", offered, (1, 200), key="lengths", bind="query-params")
    return [length for length in offered if first <= length <= last]


st.title("Output tokens")
st.markdown(
    "What does a longer answer cost? Exactly as many tokens are generated as asked for: "
    "the end-of-text token does not stop a run."
)
left, right = st.columns([1, 2.6], gap="large")
with left:
    controls.choose_sweep(EXPERIMENT, config, lengths)
with right:
    run_view.show(
        EXPERIMENT,
        {
            "Log scale": lambda result: [
                charts.breakdown(result.summary, EXPERIMENT, MODEL_STAGES, "total_ms", log=True)
            ],
            "Linear scale": lambda result: [charts.breakdown(result.summary, EXPERIMENT, MODEL_STAGES, "total_ms")],
            "Time per output token": lambda result: [charts.panel(result.summary, EXPERIMENT, "tpot_ms")],
            "Decode step by position": run_view.decode_steps,
        },
        below=beside_view.section,
    )
