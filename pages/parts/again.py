"""A run used again: its settings in the page's controls, the same sweep measured here, the command that would."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.parts import bar, clone, joint_clone
from pages.parts.state import service
from pages.parts.text import say_error
from profcore.errors import UserError
from profcore.experiments.knobs import JOINT
from profcore.models.config import check_model_path, model_shape
from profcore.models.context import check_sweep
from profcore.results.command import repeat_command
from profcore.spec.runs import RunSpec
from profcore.spec.stages import State

if TYPE_CHECKING:
    from profcore.results.base import MeasuredRun

_PROBLEM, _PAIR = "again problem", "again pair"


def offer(result: MeasuredRun) -> None:
    """Draw what a run that has ended can be used for again."""
    spec, run_id = result.run["spec"], result.run["id"]
    if problem := st.session_state.pop(_PROBLEM, ""):
        say_error(problem)
    if not spec:
        return
    with st.popover("Use again", icon=":material/replay:", type="tertiary", key="again"):
        st.button(
            "Use this run's settings",
            icon=":material/tune:",
            key="clone",
            width="stretch",
            on_click=_clone,
            args=(spec,),
            help="Puts them into the controls of this page and into the bar on the left, as far as they are to be had "
            "here.",
        )
        st.button(
            "Repeat here and compare",
            icon=":material/compare:",
            key="repeat",
            width="stretch",
            on_click=_repeat,
            args=(run_id, spec),
            disabled=bool(bar.problem()),
            help="Measures the same sweep on what the bar on the left says, and sets both runs beside each other once "
            "it is done.",
        )
        command = repeat_command(spec)
        if command:
            st.caption("The same on the command line")
            st.code(command, language="bash", wrap_lines=True)
        else:
            st.caption("No command line says all of this run: its picture, its data set or its grids are its own.")


def lead(result: MeasuredRun) -> None:
    """Go to the comparison of a repetition that is done with the run that it repeats."""
    pair = st.session_state.get(_PAIR)
    if pair is None or pair[1] != result.run["id"]:
        return
    if result.state.ended:
        del st.session_state[_PAIR]
    if result.state is State.DONE:
        st.switch_page("pages/runs.py", query_params={"compare": ",".join(pair)})
    if not result.state.ended:
        st.caption(":material/compare: It repeats another run: once it is done, both are compared.")


def _clone(spec: dict[str, Any]) -> None:
    """Put a run's settings into the controls, which are drawn next."""
    run = RunSpec.from_dict(spec)
    try:
        check_model_path(run.target.model, service().roots)
        config = model_shape(run.target.model)
        check_sweep(run.sweep, config, run.target.model)
        devices = [device["id"] for device in service().jobs.seen().devices]
        controls_of = joint_clone.controls_of if run.sweep.experiment == JOINT.name else clone.controls_of
        held = controls_of(run, devices, bar.device())
    except UserError as error:
        st.session_state[_PROBLEM] = f"This run's settings cannot be used here: {error}"
        return
    for key, value in held.items():
        st.session_state[key] = value


def _repeat(run_id: str, spec: dict[str, Any]) -> None:
    try:
        sweep = replace(RunSpec.from_dict(spec).sweep, clock=bar.clock())
        repeated = service().start(bar.target(), sweep, bar.devices())
    except UserError as error:
        st.session_state[_PROBLEM] = str(error)
        return
    st.session_state["run"] = repeated
    st.session_state[_PAIR] = (run_id, repeated)
