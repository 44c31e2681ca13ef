"""The latency model of a joint run: formulas, how far it is off, and what to take away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.parts import figure_view, other_run, tables, trade_off_data
from pages.parts.text import plain
from profcore import charts
from profcore.export.captions import run_provenance
from profcore.tradeoff.latency_model import model_sentences
from profcore.tradeoff.points import KNOBS
from profcore.tradeoff.tables import display_coefficients, display_extrapolation
from profcore.tradeoff.terms import STAGE_NAMES
from profcore.tradeoff.written_model import formulas, model_json, model_python

if TYPE_CHECKING:
    from profcore.tradeoff.latency_model import LatencyModel

_STAGES = {name: metric for metric, name in STAGE_NAMES.items() if metric != "other_ms"} | {
    "TTFT": "ttft_ms",
    "Total": "total_ms",
}
_KNOBS = ("num_crops", "top_k", "active_blocks", "output_tokens")


def show(run: dict[str, Any], quality: str) -> None:
    """Draw the latency model of a run.

    Args:
        run: As `Reader.run`.
        quality: Of no matter here.
    """
    del quality
    run_id = run["id"]
    other = other_run.choose(run_id, "Recalibrate the model of")
    model = trade_off_data.recalibrated_model(run_id, other) if other else trade_off_data.model(run_id)
    st.markdown("\n".join(f"- {plain(sentence)}" for sentence in model_sentences(model)))
    st.code("\n".join(formulas(model)), language=None, wrap_lines=True)
    how = "each coefficient drawn towards that run's" if other else "non-negative least squares of relative errors"
    st.caption(
        f"Fitted to {model.settings} settings: {plain(how)}. Errors are of settings that the fit had not seen, a tenth "
        "at a time. Rounds and tiles count by how many steps work grows on the card."
    )
    _take_away(model, run_id)
    _judge(run, model)
    if other is None:
        _how_many(run)
        _tables(model)


def _judge(run: dict[str, Any], model: LatencyModel) -> None:
    """Predicted against measured, and how far off over a knob."""
    errors = model.errors()
    stages = [name for name, metric in _STAGES.items() if errors[metric].n]
    knobs = [knob for knob in _KNOBS if knob not in model.held]
    if not stages or not knobs:
        return
    left, right = st.columns(2)
    usual = "LLM prefill" if "LLM prefill" in stages else stages[0]
    stage = left.segmented_control("Stage", stages, default=usual, required=True, key="stage", wrap=True)
    metric = _STAGES[stage or usual]
    with right:
        knob = st.segmented_control(
            "Over",
            knobs,
            format_func=KNOBS.__getitem__,
            default=knobs[0],
            required=True,
            key=f"over-{len(knobs)}",
            wrap=True,
        )
    source = run_provenance(run, "Predicted against measured.", "Points: settings left out of the fit.")
    left, right = st.columns(2)
    with left:
        figure_view.draw(charts.predicted(model, metric), f"predicted_{metric}", "predicted", source=source)
    with right:
        shown = knob or knobs[0]
        drawn = charts.residuals(model, metric, shown, KNOBS[shown])
        figure_view.draw(drawn, f"residuals_{metric}_{shown}", "residuals", source=source)


def _how_many(run: dict[str, Any]) -> None:
    """How the error falls with the number of settings."""
    rows = trade_off_data.errors(run["id"])
    if len(rows):
        st.subheader("How many settings are enough?")
        said = run_provenance(
            run, "Error against the number of settings.", "Each point: five draws of so many settings."
        )
        figure_view.draw(charts.errors_over_settings(rows), "errors_by_settings", "errors", source=said)


def _tables(model: LatencyModel) -> None:
    coefficients, beyond = st.tabs(["Coefficients", "Beyond what was measured"])
    with coefficients:
        tables.figures(display_coefficients(model), "stage", "term", "unit")
        st.caption("Intervals of 95 %, by drawing settings anew.")
    with beyond:
        tables.figures(display_extrapolation(model), "stage", "largest left out of")
        st.caption("Fitted without the settings of a knob's largest value, and judged on these.")


def _take_away(model: LatencyModel, run_id: str) -> None:
    files = (
        ("Python function", lambda: model_python(model), f"latency_model_{run_id}.py", "text/x-python"),
        ("JSON", lambda: model_json(model), f"latency_model_{run_id}.json", "application/json"),
    )
    with st.container(horizontal=True):
        for label, make, name, kind in files:
            st.download_button(
                label, make, name, kind, key=f"model-{label}", icon=":material/download:", on_click="ignore"
            )
