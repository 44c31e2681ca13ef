"""The controls of a Motivation experiment: data set, lengths, how often, and Run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.parts import bar, data_set_controls, how_often
from pages.parts.controls import busy_notes
from pages.parts.folded import folded
from pages.parts.pressed import acting, pressed
from pages.parts.state import service
from pages.parts.text import plain, say_error
from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE, MAX_GRID, parse_values
from profcore.experiments.motivation import may_be_open_ended
from profcore.spec.text import counted

if TYPE_CHECKING:
    from profcore.data_sets import DataSet
    from profcore.experiments.motivation import Motivation
    from profcore.models.shape import Shape

_FOLDED = "lengths-and-repeats"
_LOOKED = "pictures looked at"
_WARM_UP = ("warmup-pictures", "seed-pictures")
_NONE: tuple[dict[str, Any], str] = ({}, "")


def choose(experiment: Motivation, config: Shape) -> None:
    """Draw an experiment's controls, ending in Run."""
    data_set = data_set_controls.choose_or_upload(drawn=experiment.queries or 100)
    run = st.container()
    name = experiment.name
    within = (f"repeat-{name}", f"repeat-{name}-enough", f"lengths-{name}", "widest", "eos", *_WARM_UP)
    # What is not said is as `plan` has it.
    asked, problem = folded(
        "Lengths and repeats", _FOLDED, within, lambda: _lengths_and_repeats(experiment, config), _NONE
    )
    options = {"clock": bar.clock(), **asked}
    with run:
        # How many inferences it will be is known once the pictures have been looked at.
        if note := service().space_note([]):
            st.warning(plain(note))
        if not bar.problem():
            busy_notes()
        if problem:
            say_error(problem)
        if (
            pressed(
                "Run",
                "run-pictures",
                type="primary",
                icon=":material/play_arrow:",
                width="stretch",
                disabled=bool(problem) or data_set is None or not bar.has_devices(),
            )
            and data_set
        ):
            _start(experiment, data_set, options)
        _say_looked(experiment)


def _lengths_and_repeats(experiment: Motivation, config: Shape) -> tuple[dict[str, Any], str]:
    """Draw what is seldom changed; gives it as `plan` takes it, and what is wrong with it, if so."""
    options: dict[str, Any] = {}
    problem = ""
    derived = experiment.name == "flops_vs_latency"
    if not derived:
        options |= _how_often(experiment)
    if experiment.name == "vision_tokens_vs_latency" or derived:
        options["max_grid"] = st.slider("Widest grid 1×N", 1, MAX_GRID, MAX_GRID, key="widest")
    # One that ends with the first token takes no other length.
    if experiment.output_tokens != (1,):
        lengths = experiment.output_tokens
        text = st.text_input(
            "Output tokens",
            key=f"lengths-{experiment.name}",
            placeholder=" ".join(map(str, lengths)) or "8 16 32 … 4096",
            help="Whole numbers. A length beyond the model's context is passed over, with the reason.",
        )
        try:
            options["output_tokens"] = [int(value) for value in parse_values(CATALOGUE["output_tokens"], text, config)]
        except UserError as error:
            problem = str(error)
    if experiment.name == "language_tokens_vs_latency":
        options["stop_at_eos"] = st.toggle(
            "Stop at the end-of-text token",
            key="eos",
            help="How long an answer is is learnt from an untimed inference, since greedy answers do not change; "
            "the timed ones generate just that many tokens and need not wait to look at each.",
        )
    warmup, seed = _WARM_UP
    options["warmup"] = st.slider("Warm-up inferences per setting", 0, 5, 1, key=warmup)
    options["seed"] = int(st.number_input("Seed of the visiting order", 0, 2**31, 0, key=seed))
    return options, problem


def _how_often(experiment: Motivation) -> dict[str, Any]:
    """Draw how often each picture is measured; as many as it takes only where pictures may have unequally many."""
    label, key = "Samples of each picture at each setting", f"repeat-{experiment.name}"
    if not may_be_open_ended(experiment.name):
        return {"num_samples": st.slider(label, 1, 50, experiment.num_samples, key=key)}
    often = how_often.choose(label, 50, experiment.num_samples, key)
    return {"num_samples": often.num_samples, "until": often.until}


def _start(experiment: Motivation, data_set: DataSet, options: dict[str, Any]) -> None:
    try:
        with acting("run-pictures", "Looking at the pictures…"):
            run_ids, queries = service().start_motivation(
                bar.target(), experiment.name, data_set, bar.devices(), **options
            )
    except UserError as error:
        say_error(error)
        return
    if experiment.name != "flops_vs_latency":
        st.session_state["run"] = run_ids[0]
    skipped = f", {len(queries.skipped)} skipped" if queries.skipped else ""
    text = f"{queries.name}: {counted(len(queries.queries), 'question')}{skipped}."
    st.session_state[_LOOKED] = (experiment.name, st.session_state.get("run"), text)


def _say_looked(experiment: Motivation) -> None:
    """Say what was found of the pictures of the run that is shown, which may have ended since they were looked at."""
    name, run, text = st.session_state.get(_LOOKED, ("", None, ""))
    if (name, run) == (experiment.name, st.session_state.get("run")):
        st.success(plain(text))
