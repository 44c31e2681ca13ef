"""A knob's sweep beside real pictures: does the clean sweep predict what pictures cost?"""

import streamlit as st

from pages.parts import beside_view, navigation, run_parts
from pages.parts.state import service
from profcore.experiments.knobs import CATALOGUE

navigation.require_app()
st.title("Sweep and pictures")
st.markdown(
    "A sweep turns one knob on one picture. Do real pictures cost what it predicts? Each has a slope per token, and at "
    "equal tokens the pictures lie some share above or below the sweep."
)
knobs = {CATALOGUE[name].title: CATALOGUE[name] for name in ("context_scaling", "output_tokens")}
chosen = st.segmented_control(
    "Knob", list(knobs), default="Vision tokens", required=True, key="compared", bind="query-params"
)
knob = knobs[chosen or "Vision tokens"]
run_id = run_parts.pick(knob.name, f"Measure on the page *{knob.title}*, or import result files on *Home*.")
result = service().results.sweep(run_id) if run_id else None
if result is not None:
    beside_view.show(result, whole=True)
