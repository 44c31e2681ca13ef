"""The bar that every page shares: model, device and how they are run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.parts import under_way
from pages.parts.folded import folded
from pages.parts.pressed import pressed
from pages.parts.state import fragment, service
from pages.parts.text import plain, say_error
from profcore.engines.names import ENGINES, FAMILY_ENGINES, engines_of
from profcore.errors import UserError
from profcore.models.config import PRESETS, SMALL_TRAINED, check_model_path, model_shape
from profcore.models.context import check_sweep
from profcore.models.families.shape import FamilyShape
from profcore.models.families.versions import check_version
from profcore.models.names import NAMED
from profcore.models.shapes.shape import WHAT
from profcore.roofline.cache_memory import check_cache
from profcore.roofline.model_sizes import (
    ModelSize,
    display_sizes,
    gigabytes,
    named_sizes,
    size_of,
    size_of_parts,
    size_words,
    stored_dtype,
    too_large,
)
from profcore.spec.runs import Target
from profcore.spec.stages import Clock
from profcore.worker.seen import Seen

_OTHER_MODEL = "checkpoint"
_SIZES = named_sizes()
if TYPE_CHECKING:
    from profcore.models.shape import Shape
    from profcore.spec.runs import Sweep

_NO_GPU = (
    "No GPU was found: what is measured here is the CPU, with the tiny model unless you choose another. It shows how "
    "the dashboard works, not what MolmoE-1B costs."
)
_NO_DEVICES = "Nothing can be measured until this machine's devices are known."
_FIRST_PAGE = "first page"
_SHAPE, _PROBLEM, _HAS_DEVICES, _DEVICES = "model shape", "model problem", "has devices", "devices chosen"
_MEMORY, _SIZE = "device memory", "model size"
_UNKNOWN = "molmoe-1b"
_SHARED = (
    "All cards share a run: each measures some of its settings, and a few settings are measured on every card, so that "
    "cards are compared before they are pooled. Each card has a queue of its own."
)
_LOOK_S = 0.5
_EXECUTION = {"dtype": "auto", "experts": "auto", "clock": str(next(iter(Clock)))}
"""How a model is run where nobody has chosen, by the key of what is chosen: what each choice offers first."""
# By family, MolmoE's first: those that a visit is most about.
_FIRST = ("molmoe-1b", "tiny", SMALL_TRAINED)
_MODELS = (*_FIRST, _OTHER_MODEL, *(size.name for size in _SIZES if size.name not in _FIRST))


def show(page: str) -> None:
    """Draw the bar, and above the page what a reader of it must know of this machine.

    Args:
        page: What the page is called.
    """
    seen = _seen()
    devices = {device["id"]: device["name"] for device in seen.devices}
    gpu = any(device != "cpu" for device in devices)
    # On the page that a visit begins with it is said in full; what every page repeats is a word.
    first = st.session_state.setdefault(_FIRST_PAGE, page) == page
    if not first:
        st.session_state[_FIRST_PAGE] = ""
    # A place of its own, filled or not: what stands below would otherwise move down when the devices are known, which
    # makes every widget and chart a new one, and closes the list that a reader has just opened.
    above = st.empty()
    with st.sidebar:
        under_way.show(page)
        st.subheader("Measured on")
        with st.empty():
            if not seen.now:
                _look_for_devices(known=bool(devices))
        if devices:
            memory = {device["id"]: device.get("memory_bytes") for device in seen.devices}
            _choose_target(devices, memory, say_no_gpu=not gpu and not first)
            st.session_state[_MEMORY] = memory.get(st.session_state[_DEVICES][0])
        else:
            st.session_state[_SHAPE], st.session_state[_PROBLEM] = PRESETS["molmoe-1b"], _NO_DEVICES
        st.session_state[_HAS_DEVICES] = bool(devices)
        folded("Precision, experts and clock", "execution", _EXECUTION, _choose_execution, None)
    if devices and not gpu and first:
        above.info(_NO_GPU, icon=":material/memory:")


def _seen() -> Seen:
    """This machine's devices as far as they are known by now: what is stored is drawn, whatever the worker does."""
    try:
        return service().jobs.seen()
    except UserError as error:
        say_error(error)
        return Seen([], now=True)


def _look_for_devices(known: bool) -> None:
    """Say that a worker looks for devices, and draw the page anew once it has named them."""

    @fragment(run_every=_LOOK_S)
    def look() -> None:
        try:
            found = service().jobs.seen().now
        except UserError:
            # The whole page says why.
            found = True
        if found:
            st.rerun()
        if not known:
            st.caption(":material/hourglass_top: The worker starts and looks for devices: some seconds, once.")

    look()


def _choose_target(devices: dict[str, str], memory: dict[str, int | None], say_no_gpu: bool) -> None:
    """Draw the choice of device, model and engine."""
    if say_no_gpu:
        st.badge("No GPU was found", icon=":material/memory:", color="gray", help=_NO_GPU)
    # Options are plain words, since a link to a page holds them as they are written.
    alike = _cards_alike(devices)
    options = [*devices, *([_all_cards(alike)] if len(alike) > 1 else [])]
    chosen = st.selectbox("Device", options, key="device", bind="query-params", help=_SHARED if alike[1:] else None)
    st.session_state[_DEVICES] = [chosen] if chosen in devices else alike
    device = st.session_state[_DEVICES][0]
    st.caption(plain(devices[device] + (f", {len(alike)} of them" if chosen not in devices else "")))
    _choose_model("tiny" if set(devices) == {"cpu"} else "molmoe-1b")
    _look_at_model(memory.get(device))
    possible = engines_for(device, shape())
    engine = st.selectbox("Engine", possible, key="engine", bind="query-params", help=_engine_help())
    st.caption(ENGINES[engine])


def _cards_alike(devices: dict[str, str]) -> list[str]:
    """The cards of the first one's kind, which can share a run."""
    cards = [device for device in devices if device != "cpu"]
    return [card for card in cards if devices[card] == devices[cards[0]]]


def _all_cards(alike: list[str]) -> str:
    """What the choice of all cards is called."""
    return f"All {len(alike)} cards"


def _choose_model(default: str) -> None:
    st.selectbox(
        "Model",
        _MODELS,
        index=_MODELS.index(default),
        key="model",
        bind="query-params",
        help="What has a name here has random weights: its latencies are real, its words are not. Only "
        "shapes is trained: small, on drawn pictures, to show quality beside latency. A checkpoint is a directory, a "
        "configuration file of transformers, or a hub name.",
    )
    if st.session_state["model"] == SMALL_TRAINED:
        st.caption(WHAT)
    if st.session_state["model"] == _OTHER_MODEL:
        st.text_input(
            "Directory, config.json or hub name",
            key="checkpoint",
            bind="query-params",
            placeholder="allenai/MolmoE-1B-0924",
            help="A directory with config.json and safetensors, as published or as transformers writes them; a "
            "config.json alone, which is given random weights; or a hub name.",
        )


def _look_at_model(memory: int | None) -> None:
    """See whether the chosen model can be measured; say at its field how large it is, or why it cannot.

    Args:
        memory: Bytes of the device, where they are known.
    """
    config: Shape = PRESETS["molmoe-1b"]
    st.session_state[_SIZE], problem = None, ""
    try:
        config = model_shape(_model())
        check_version(config)
        problem = _say_size(_model(), config, memory)
    except UserError as error:
        problem = str(error)
        say_error(error)
    st.session_state[_SHAPE], st.session_state[_PROBLEM] = config, problem


def _say_size(model: str, config: Shape, memory: int | None) -> str:
    """Say how large a model is beside the device's memory; gives why it does not fit, or nothing."""
    dtype = stored_dtype(_execution("dtype"), st.session_state["device"])
    size, problem = size_of(model, config), ""
    if size is None and isinstance(config, FamilyShape):
        size, problem = _own_size(model, config)
    st.session_state[_SIZE] = size
    if size is not None:
        st.caption(plain(size_words(size, dtype, memory)))
        problem = too_large(size, dtype, memory)
    if problem:
        say_error(problem)
    if pressed("All models by family", "models", icon=":material/list:", type="tertiary"):
        _list_models(dtype, memory)
    return problem


def _own_size(model: str, config: FamilyShape) -> tuple[ModelSize | None, str]:
    """The size of a model without a name, which a worker counts; None as long as it does, and why it cannot."""
    target = Target(model, st.session_state[_DEVICES][0])
    try:
        found = service().questions.parameters(target, config)
    except UserError as error:
        return None, str(error)
    if found["state"] == "done":
        return size_of_parts(model, config, found["result"]), ""
    if found["state"] == "failed":
        return None, found["text"]
    _follow_count(target, config)
    return None, ""


def _follow_count(target: Target, config: FamilyShape) -> None:
    """Say that parameters are counted, and draw the page anew once they are."""

    @fragment(run_every=_LOOK_S)
    def look() -> None:
        try:
            state = service().questions.parameters(target, config)["state"]
        except UserError:
            # The whole page says why.
            state = "failed"
        if state in ("done", "failed"):
            st.rerun()
        st.caption(":material/hourglass_top: Its parameters are counted as soon as the worker is free.")

    look()


@st.dialog("Models by family", width="large")
def _list_models(dtype: str, memory: int | None) -> None:
    """Draw every model that has a name, with its size beside the device's memory."""
    here = f"Here are {gigabytes(memory)}." if memory else ""
    st.caption(
        f"Of the parameters alone, in {plain(dtype)}; the cache and what is computed on the way come on top."
        f" {plain(here)} Names go into **Model** on the left, or after `--model`."
    )
    table = display_sizes(_SIZES, dtype, memory)
    st.dataframe(table, hide_index=True, height=35 * len(table) + 38)


def shape() -> Shape:
    """The shape of the chosen model; MolmoE-1B's where it cannot be used, so that a page is drawn all the same."""
    return st.session_state[_SHAPE]


def engines_for(device: str, config: Shape) -> list[str]:
    """The engines that a device can run a model by."""
    names = engines_of(device)
    return [name for name in names if name in FAMILY_ENGINES] if isinstance(config, FamilyShape) else names


def problem() -> str:
    """Why nothing can be measured, which the bar says; empty where it can."""
    return st.session_state[_PROBLEM]


def has_devices() -> bool:
    """Whether it is known what can be measured on; a page draws what is stored all the same."""
    return st.session_state[_HAS_DEVICES]


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
        help="transformers' implementation of the experts. auto is what its generate takes: grouped_mm for prefill "
        "and, on a GPU, batched_mm for decode; the others are for both. The compiled engine has its own on a GPU.",
    )
    st.selectbox(
        "Clock",
        [str(clock) for clock in Clock],
        key="clock",
        bind="query-params",
        help="events reads the clock without making the device wait; published is the published scripts' "
        "method, which waits for the device around every stage.",
    )


def _execution(name: str) -> str:
    """What is chosen of how a model is run, by its key; folded away, it is what would be offered first."""
    return st.session_state.get(name, _EXECUTION[name])


def _engine_help() -> str:
    return "\n\n".join(f"**{name}**: {text}" for name, text in ENGINES.items())


def target() -> Target:
    """What the bar says to measure on.

    Raises:
        UserError: No device is known yet, or a checkpoint was chosen but not named, or lies where no page may look.
    """
    if not has_devices():
        raise UserError(_NO_DEVICES)
    engine = st.session_state["engine"]
    return Target(_model(), device(), _execution("dtype"), engine, _execution("experts"))


def device() -> str:
    """The device that is chosen, of several the first; the CPU until one is known."""
    return devices()[0]


def devices() -> list[str]:
    """The devices that share what is measured: all cards where that is chosen."""
    return st.session_state[_DEVICES] if has_devices() else ["cpu"]


def _model() -> str:
    """The chosen model, or the checkpoint that stands for it.

    Raises:
        UserError: As `target`.
    """
    model = st.session_state["model"]
    if model == _OTHER_MODEL:
        model = st.session_state.get("checkpoint", "").strip()
        if not model:
            raise UserError("Name the checkpoint to measure: a directory or a hub name.")
        check_model_path(model, service().roots)
    return model


def say_target() -> None:
    """Say in a line what a run would be measured on now."""
    if problem():
        return
    chosen, config = target(), shape()
    weights = "random weights" if chosen.model in NAMED else "its own weights"
    if chosen.model == SMALL_TRAINED:
        weights = "small, trained on drawn pictures"
    experts = f" of {config.num_experts} experts, top-{config.top_k}" if config.num_experts else ""
    st.markdown(
        f"A run now measures **{plain(chosen.model)}** ({config.n_layers} blocks{experts}, {weights}) on "
        f"**{plain(' and '.join(devices()))}** by the **{plain(chosen.engine)}** engine. "
        "The bar on the left changes that."
    )


def check(sweep: Sweep, config: Shape) -> None:
    """Whether the chosen model can measure a sweep.

    Raises:
        UserError: It cannot: a setting is none of its own, or does not fit its context or the device's memory.
    """
    if problem():
        # It is not known which; the bar says why.
        check_sweep(sweep, config, _UNKNOWN)
        return
    chosen = target()
    check_sweep(sweep, config, chosen.model)
    check_cache(sweep, config, chosen, st.session_state[_MEMORY], st.session_state[_SIZE])


def clock() -> Clock:
    """The clock that the bar says."""
    return Clock(_execution("clock"))
