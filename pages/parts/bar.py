"""The bar that every page shares: model, device and how they are run."""

from __future__ import annotations

import streamlit as st

from pages.parts.state import service
from profcore.engines.names import ENGINES, engines_of
from profcore.errors import UserError
from profcore.models.config import PRESETS, model_shape
from profcore.spec.runs import Target
from profcore.spec.stages import Clock

_OTHER_MODEL = "checkpoint"
_MODELS = ("molmoe-1b", "tiny", _OTHER_MODEL)


def show() -> None:
    """Draw the bar, and above the page what a reader of it must know of this machine."""
    devices = _devices()
    gpu = any(device != "cpu" for device in devices)
    # Options are plain words, since a link to a page holds them as they are written.
    with st.sidebar:
        st.subheader("Measured on")
        device = st.selectbox("Device", list(devices), key="device", bind="query-params")
        st.caption(devices[device])
        _choose_model("molmoe-1b" if gpu else "tiny")
        engine = st.selectbox("Engine", engines_of(device), key="engine", bind="query-params", help=_engine_help())
        st.caption(ENGINES[engine])
        with st.expander("Precision, experts and clock"):
            _choose_execution()
    if not gpu:
        st.info(
            f"No GPU was found: this machine measures on its CPU ({devices[device]}), with the tiny model unless you "
            "choose another. Those figures show how the dashboard works, not what MolmoE-1B costs.",
            icon=":material/memory:",
        )


def _devices() -> dict[str, str]:
    """The names of this machine's devices; a page that cannot have them says why and ends."""
    try:
        with st.spinner("Starting the worker, which looks for GPUs: some seconds, once…"):
            return {device["id"]: device["name"] for device in service().jobs.devices()}
    except UserError as error:
        st.error(str(error))
        st.stop()


def _choose_model(default: str) -> None:
    st.selectbox(
        "Model",
        _MODELS,
        index=_MODELS.index(default),
        key="model",
        bind="query-params",
        help="molmoe-1b and tiny have random weights: their latencies are real, their words are not. "
        "A checkpoint is a directory or a hub name.",
    )
    if st.session_state["model"] == _OTHER_MODEL:
        st.text_input(
            "Directory or hub name",
            key="checkpoint",
            bind="query-params",
            placeholder="allenai/MolmoE-1B-0924",
            help="A directory with config.json and safetensors in the published layout, or a hub name.",
        )


def _choose_execution() -> None:
    st.selectbox(
        "Dtype",
        ["auto", "bfloat16", "float16", "float32"],
        key="dtype",
        bind="query-params",
        help="auto is bfloat16 on a GPU and float32 on a CPU.",
    )
    st.selectbox(
        "Experts",
        ["auto", "grouped_mm", "batched_mm", "eager"],
        key="experts",
        bind="query-params",
        help="transformers' implementation of the experts; auto is grouped_mm on a GPU and eager on a CPU. "
        "The compiled engine has its own on a GPU.",
    )
    st.selectbox(
        "Clock",
        [str(clock) for clock in Clock],
        key="clock",
        bind="query-params",
        help="events reads the clock without making the device wait; published is the published scripts' "
        "method, which waits for the device around every stage.",
    )


def _engine_help() -> str:
    return "\n\n".join(f"**{name}**: {text}" for name, text in ENGINES.items())


def target() -> Target:
    """What the bar says to measure on.

    Raises:
        UserError: A checkpoint was chosen but not named.
    """
    state = st.session_state
    model = state["model"]
    if model == _OTHER_MODEL:
        model = state.get("checkpoint", "").strip()
        if not model:
            raise UserError("Name the checkpoint to measure: a directory or a hub name, in the bar on the left.")
    return Target(model, state["device"], state["dtype"], state["engine"], state["experts"])


def say_target() -> None:
    """Say in a line what a run would be measured on now."""
    try:
        chosen = target()
        config = model_shape(chosen.model)
    except UserError as error:
        st.error(str(error))
        return
    weights = "random weights" if chosen.model in PRESETS else "its own weights"
    st.markdown(
        f"A run now measures **{chosen.model}** ({config.n_layers} blocks of {config.num_experts} experts, top-"
        f"{config.top_k}, {weights}) on **{chosen.device}** by the **{chosen.engine}** engine. "
        "The bar on the left changes that."
    )


def clock() -> Clock:
    """The clock that the bar says."""
    return Clock(st.session_state["clock"])
