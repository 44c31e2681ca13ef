"""Knob 1, vision tokens: image grids from 1×1 to 1×12."""

from collections.abc import Sequence

import streamlit as st

from pages.parts import beside_view, controls, head_start, run_view
from profcore.experiments.knobs import CATALOGUE
from profcore.models.picture import grids_of

EXPERIMENT = CATALOGUE["context_scaling"]
config = controls.shape()


def grids() -> Sequence[int]:
    """The grids that the slider stands for."""
    columns = [columns for _, columns in grids_of(config)]
    if columns != list(range(1, 13)):
        first, last = st.select_slider(
            "Image grid, from 1×N to 1×N", columns, (columns[0], columns[-1]), key="grids-of", bind="query-params"
        )
        return [each for each in columns if first <= each <= last]
    first, last = st.slider("Image grid, from 1×N to 1×N", 1, 12, (1, 12), key="grids", bind="query-params")
    return range(first, last + 1)


def _controls() -> None:
    # However many the controls are, the link below them stays where it is.
    with st.container():
        controls.choose_sweep(EXPERIMENT, config, grids)
    if config.num_experts:
        st.page_link(
            "pages/inspect.py",
            label="Which experts does a picture use?",
            icon=":material/biotech:",
            help="A solid-colour picture routes unlike a real one.",
            query_params={"tool": "Top-k"},
        )


st.title("Vision tokens")
st.markdown(
    "What does a larger picture cost until the first token? Each setting cuts the picture into a wider grid of crops, "
    "so that the vision encoder, the projector and the prefill have more to do."
)
head_start.beside(_controls, lambda: run_view.show(EXPERIMENT, below=beside_view.section))
