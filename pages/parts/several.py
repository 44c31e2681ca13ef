"""Several runs by one click: a sweep under each engine, or all four knobs, with an estimate before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from pages.parts import bar, how_often
from pages.parts.pressed import pressed
from pages.parts.state import service
from pages.parts.text import plain, say_error
from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings, default_values, why_not
from profcore.service.words import estimate_line
from profcore.spec.runs import Sweep, Target

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLAY = ":material/play_arrow:"

# A model has two knobs at least: blocks and output tokens.
_NUMBERS = {2: "two", 3: "three", 4: "four"}


def estimate(runs: Sequence[tuple[Target, Sweep]]) -> str:
    """About how long runs take one after another, in words; where one has no estimate, they have none."""
    each = [service().estimate_s(*run, bar.devices()) for run in runs]
    known = [seconds for seconds in each if seconds is not None]
    return estimate_line(sum(known) if len(known) == len(each) else None)


def under_engines(sweep: Sweep) -> None:
    """Offer a sweep under each of several engines."""
    target = bar.target()
    possible = bar.engines_for(target.device, bar.shape())
    with st.popover("Under several engines", icon=":material/compare_arrows:", width="stretch", key="several"):
        chosen = st.pills("Engines", possible, default=possible, selection_mode="multi", key="several-engines")
        runs = [(replace(target, engine=engine), sweep) for engine in chosen]
        _offer(runs, f"Run under {len(runs):,} engine{'' if len(runs) == 1 else 's'}", "run-several")


def offer_all_knobs() -> None:
    """Offer all four knobs at their usual values below the bar, on what that says."""
    if bar.problem():
        return
    config = bar.shape()
    experiments = [each for each in CATALOGUE.values() if not why_not(each, config)]
    number = _NUMBERS[len(experiments)]
    with (
        st.sidebar,
        st.popover(f"Measure all {number} knobs", icon=":material/playlist_play:", width="stretch", key="all-knobs"),
    ):
        st.caption("Each knob at its usual values, the others where they usually stand.")
        for each in CATALOGUE.values():
            if why := why_not(each, config):
                st.caption(f":material/block: {plain(each.title)} is left out: {plain(why)}")
        often = how_often.choose("Samples per setting of each", 100, 20, "all-samples")
        sweeps = [
            often.of(
                Sweep(
                    experiment.name,
                    build_settings(experiment, default_values(experiment, config), base_setting(experiment, config)),
                    clock=bar.clock(),
                )
            )
            for experiment in experiments
        ]
        _offer([(bar.target(), sweep) for sweep in sweeps], f"Run all {number}", "run-all-knobs")


def _offer(runs: Sequence[tuple[Target, Sweep]], label: str, key: str) -> None:
    """Say what runs come to, and draw the button that queues them."""
    inferences = sum(sweep.num_inferences for _, sweep in runs)
    settings = sum(len(sweep.settings) for _, sweep in runs)
    most = "At most " if any(sweep.until for _, sweep in runs) else ""
    st.markdown(f"**{plain(most)}{inferences:,} inferences** at {settings:,} settings, one run after another")
    if runs:
        st.caption(plain(estimate(runs)))
    if note := service().space_note([sweep for _, sweep in runs]):
        st.warning(plain(note))
    if pressed(label, key, type="primary", icon=_PLAY, width="stretch", disabled=not runs):
        _start(runs)


def _start(runs: Sequence[tuple[Target, Sweep]]) -> None:
    try:
        ids = [service().start(target, sweep, bar.devices()) for target, sweep in runs]
    except UserError as error:
        say_error(error)
        return
    st.session_state["run"] = ids[0]
    st.toast(f"{len(ids):,} runs are queued." if len(ids) > 1 else "The run is queued.")
