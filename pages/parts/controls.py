"""The widgets beside a knob's own: the other knobs, the picture, how often, and Run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from pages.parts import (
    bar,
    clone,
    data_set_controls,
    figure_view,
    how_often,
    lacking,
    navigation,
    run_parts,
    several,
    thumbnails,
)
from pages.parts.folded import folded
from pages.parts.pressed import pressed
from pages.parts.state import service
from pages.parts.text import plain, say_error
from profcore import charts
from profcore.data_sets import DataSet, read_data_set
from profcore.errors import UserError
from profcore.experiments.knobs import Experiment, base_setting, build_settings, parse_values, why_not
from profcore.images.pictures import PHOTOS, SOLID
from profcore.models.picture import grid_layout_of
from profcore.results.differing import differing
from profcore.spec.queries import DEFAULT_PROMPT, Picture
from profcore.spec.runs import Sweep
from profcore.spec.settings import Setting, first_blocks
from profcore.spec.stages import Knob
from profcore.spec.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from profcore.models.shape import Shape

_WARMUP = 2


def shape() -> Shape:
    """The shape that a page's controls go by (see `bar.shape`)."""
    navigation.require_app()
    return bar.shape()


def choose_sweep(experiment: Experiment, config: Shape, slider: Callable[[], Sequence[int | str]]) -> None:
    """Draw a knob page's controls, ending in Run.

    Args:
        experiment: Whose page it is.
        config: The chosen model's shape.
        slider: Draws the knob's own slider and gives the values it stands for.
    """
    values, problem = _values(experiment, config, slider)
    often = how_often.choose("Samples per setting", clone.MOST_SAMPLES, 50, "samples", bound=True)
    # Run stands above what is seldom changed, but needs to know it.
    run = st.container()
    held = _choose_held(experiment, config)
    sweep = None
    if not problem and not bar.problem():
        try:
            sweep = _plan(experiment, config, values, held, often)
        except UserError as error:
            problem = str(error)
    with run:
        _offer_run(sweep, problem, held.quality, why_not(experiment, config))
    if sweep:
        _counts(sweep, config)
        if experiment.knob is Knob.ACTIVE_BLOCKS:
            drawn = charts.masks([setting.mask_label for setting in sweep.settings])
            figure_view.draw(drawn, "active_blocks", "masks")


@dataclass(frozen=True)
class _Held:
    """What stays as it is while the knob turns.

    Attributes:
        base: The other knobs.
        picture: What the model sees; None where none was uploaded yet.
        prompt: The question put to it.
        warmup: Untimed inferences per setting.
        seed: Seed of the visiting order.
        quality: On what quality is recorded; None for not at all.
        energy: Whether joules are measured after the samples.
    """

    base: Setting
    picture: Picture | None
    prompt: str
    warmup: int
    seed: int
    quality: DataSet | None
    energy: bool


def _values(
    experiment: Experiment, config: Shape, slider: Callable[[], Sequence[int | str]]
) -> tuple[Sequence[int | str], str]:
    """Draw the knob's slider and the field that overrules it; gives its values, and what is wrong with them, if so."""
    values: Sequence[int | str] = ()
    problem = ""
    if why := why_not(experiment, config):
        stands = config.top_k if experiment.knob is Knob.TOP_K else 1
        lacking.greyed(experiment.title, stands, why, experiment.name)
        return values, why
    try:
        values = slider()
    except UserError as error:
        problem = str(error)
    exact = st.text_input(
        "Exactly these values instead",
        key="values",
        bind="query-params",
        placeholder=_example(experiment),
        help="Whole numbers, apart by commas or spaces."
        + (" Also masks, such as 1011…: a 0 skips that block." if experiment.knob is Knob.ACTIVE_BLOCKS else ""),
    )
    if not exact.strip():
        return values, problem
    try:
        return parse_values(experiment, exact, config), ""
    except UserError as error:
        return (), str(error)


def _choose_held(experiment: Experiment, config: Shape) -> _Held:
    """Draw what is seldom changed, folded away."""
    base = folded(
        "Other knobs",
        "other-knobs",
        ("grid", "grid-of", "topk", "blocks", clone.tokens_key(experiment.knob)),
        lambda: _base(experiment, config),
        base_setting(experiment, config),
    )
    picture, prompt = choose_question()
    warmup, seed = folded("Warm-up and order", "warm-up-and-order", ("warmup", "seed"), _warmup_and_seed, (_WARMUP, 0))
    quality = None
    if experiment.knob in (Knob.TOP_K, Knob.ACTIVE_BLOCKS):
        quality = fold_quality()
    return _Held(base, picture, prompt, warmup, seed, quality, fold_energy())


def _warmup_and_seed() -> tuple[int, int]:
    warmup = st.slider(
        "Warm-up inferences per setting", 0, clone.MOST_WARMUP, _WARMUP, key="warmup", bind="query-params"
    )
    return warmup, int(st.number_input("Seed of the visiting order", 0, 2**31, 0, key="seed", bind="query-params"))


def _plan(
    experiment: Experiment, config: Shape, values: Sequence[int | str], held: _Held, often: how_often.HowOften
) -> Sweep:
    """The sweep that was chosen.

    Raises:
        UserError: It cannot be measured.
    """
    if held.picture is None:
        raise UserError("Upload a picture, or choose another kind.")
    settings = build_settings(experiment, values, held.base)
    sweep = Sweep(
        experiment.name,
        settings,
        warmup=held.warmup,
        seed=held.seed,
        clock=bar.clock(),
        picture=held.picture,
        prompt=held.prompt,
        energy=held.energy,
    )
    bar.check(sweep, config)
    return often.of(sweep)


def _offer_run(sweep: Sweep | None, problem: str, quality: DataSet | None, greyed: str = "") -> None:
    """Say what Run would measure, or what is wrong; and draw it."""
    above = st.container()
    icon = ":material/play_arrow:"
    # What was pressed begins before anything else is worked out.
    run = pressed("Run", "run-sweep", type="primary", icon=icon, width="stretch", disabled=sweep is None)
    if run and sweep:
        _start(sweep, quality)
    with above:
        _say_planned(sweep, problem, greyed)
    if sweep and not quality:
        several.under_engines(sweep)
    if sweep:
        _say_difference(sweep)


def _say_planned(sweep: Sweep | None, problem: str, greyed: str) -> None:
    """Say what Run would measure, or what is wrong."""
    if sweep:
        number = len(sweep.settings)
        st.markdown(
            f"**{plain(how_often.inferences(sweep).capitalize())}**: {counted(number, 'setting')} "
            f"{plain(how_often.each_setting(sweep))}, after {sweep.warmup * number} to warm up"
        )
        st.caption(plain(several.estimate([(bar.target(), sweep)])))
        if note := service().space_note([sweep]):
            st.warning(plain(note))
        busy_notes()
    if bar.problem():
        what = "The model cannot be measured" if bar.has_devices() else "Nothing can be measured yet"
        st.caption(f":material/error: {plain(what)}: the bar on the left says why.")
    elif problem and problem != greyed:
        # Why a knob is greyed out stands below it.
        say_error(problem)


def busy_notes() -> None:
    """Say where the device or its host is at work for others."""
    for note in service().busy_notes(bar.device()):
        st.caption(f":material/warning: {plain(note)}")


def _say_difference(sweep: Sweep) -> None:
    """Say in what the controls differ from the run that the page shows."""
    shown = run_parts.shown(sweep.experiment)
    run = service().store.run(shown) if shown else None
    different = differing(bar.target(), sweep, run["spec"]) if run else []
    if different:
        st.caption(f":material/difference: Unlike the run shown, whose is in brackets: {plain(', '.join(different))}.")


def _start(sweep: Sweep, quality: DataSet | None) -> None:
    try:
        if quality:
            sweep = replace(sweep, quality=read_data_set(quality))
        st.session_state["run"] = service().start(bar.target(), sweep, bar.devices())
    except UserError as error:
        say_error(error)


def _example(experiment: Experiment) -> str:
    return {
        Knob.VISION_TOKENS: "1 6 12",
        Knob.TOP_K: "3 5 7",
        Knob.ACTIVE_BLOCKS: "4 8 1010101010101010",
        Knob.OUTPUT_TOKENS: "8 64 512",
    }[experiment.knob]


def _base(experiment: Experiment, config: Shape) -> Setting:
    """The knobs that are not turned."""
    own = base_setting(experiment, config)
    grid, top_k, blocks, tokens = 1, own.top_k, config.n_layers, own.output_tokens
    if experiment.knob is not Knob.VISION_TOKENS:
        grid = lacking.grid(config, "Image grid 1×N", "grid")
    if experiment.knob is not Knob.TOP_K:
        top_k = lacking.top_k(config, "Top-k", top_k, "topk")
    if experiment.knob is not Knob.ACTIVE_BLOCKS:
        blocks = st.slider("Active blocks (first N)", 1, config.n_layers, blocks, key="blocks", bind="query-params")
    if experiment.knob is not Knob.OUTPUT_TOKENS:
        key = clone.tokens_key(experiment.knob)
        tokens = st.slider("Output tokens", 1, clone.MOST_TOKENS, tokens, key=key, bind="query-params")
    return Setting((1, grid), top_k, first_blocks(blocks, config.n_layers), tokens)


def fold_quality(key: str = "quality", more: str = "") -> DataSet | None:
    """Draw, folded away, whether quality is recorded, and on what; takes what `_choose_quality` takes."""
    return folded("Quality", f"folded-{key}", (key,), lambda: _choose_quality(key, more), None)


def _choose_quality(key: str = "quality", more: str = "") -> DataSet | None:
    """Draw whether quality is recorded, and on what; None where it is not.

    Args:
        key: The switch's.
        more: What else is said of it.
    """
    asked = st.toggle(
        "Record what each setting costs in quality",
        key=key,
        help="After the samples: the KL divergence of the next-token distribution from the full model's, and VQA "
        f"accuracy where the questions have answers. {plain(more)}".strip(),
    )
    return data_set_controls.choose(f"{key}-", 8) if asked else None


def fold_energy(key: str = "energy") -> bool:
    """Draw, folded away, whether joules are measured; the switch's key is its name in the link."""
    return folded("Energy", f"folded-{key}", (key,), lambda: _choose_energy(key), untouched=False)


def _choose_energy(key: str = "energy") -> bool:
    """Draw whether joules are measured; the switch's key is its name in the link."""
    on_cpu = bar.device() == "cpu"
    asked = st.toggle(
        "Measure energy after the samples",
        key=key,
        bind="query-params",
        disabled=on_cpu,
        help="Joules per inference, stage and output token, each stage repeated by itself for up to four seconds, in a "
        "pass that the samples do not wait for.",
    )
    if on_cpu:
        st.caption("Energy is measured on NVIDIA GPUs alone.")
    return asked and not on_cpu


def choose_question(prefix: str = "") -> tuple[Picture | None, str]:
    """Draw, folded away, the choice of a picture and of the question put to the model.

    Args:
        prefix: As in `choose_picture`.
    """
    bind: Any = {} if prefix else {"bind": "query-params"}

    def draw() -> tuple[Picture | None, str]:
        return choose_picture(prefix), st.text_input("Prompt", DEFAULT_PROMPT, key=f"{prefix}prompt", **bind)

    names = [f"{prefix}{name}" for name in ("picture", "photo", "colour", "upload", "prompt")]
    first: tuple[Picture | None, str] = (Picture("photo", PHOTOS[0]), DEFAULT_PROMPT)
    return folded("Picture and prompt", f"{prefix}picture-and-prompt", names, draw, first)


def choose_picture(prefix: str = "") -> Picture | None:
    """Draw the choice of a picture; None where none was uploaded yet.

    Args:
        prefix: Tells the widgets apart where a page has several; the link holds them without one alone.
    """
    kinds = ("photograph", "solid colour", "your own")
    bind: Any = {} if prefix else {"bind": "query-params"}
    kind = st.selectbox(
        "Picture",
        kinds,
        key=f"{prefix}picture",
        help="The published scripts use a solid colour, which routes to fewer experts than a real picture.",
        **bind,
    )
    if kind == "photograph":
        return Picture("photo", st.selectbox("Photograph", PHOTOS, key=f"{prefix}photo", **bind))
    if kind == "solid colour":
        return Picture("solid", st.color_picker("Colour", SOLID, key=f"{prefix}colour", **bind))
    uploaded = st.file_uploader("Picture file", key=f"{prefix}upload")
    if uploaded is None:
        return None
    try:
        picture = service().keep_picture(uploaded.getvalue(), uploaded.name)
    except UserError as error:
        say_error(error)
        return None
    thumbnails.draw(picture, 160)
    return picture


def _counts(sweep: Sweep, config: Shape) -> None:
    """What the sliders come to: the tokens of each setting."""
    rows = []
    for setting in sweep.settings:
        layout = grid_layout_of(config, setting.grid)
        rows.append(
            {
                "grid": setting.grid_label,
                "vision tokens": layout.tokens,
                "crops": layout.views,
                "top-k": setting.top_k,
                "blocks": setting.active_blocks,
                "output tokens": setting.output_tokens,
            }
        )
    frame = pd.DataFrame(rows)
    # What the knob turns stands first; what stays is seen by scrolling.
    first = [column for column in frame if frame[column].nunique() > 1]
    st.dataframe(
        frame[[*first, *(column for column in frame if column not in first)]],
        hide_index=True,
        height=min(len(rows), 7) * 35 + 38,
    )
