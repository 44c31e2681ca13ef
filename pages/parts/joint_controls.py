"""The controls of joint sweeps: values of every knob, which of their combinations, how often, and Run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import streamlit as st

from pages.parts import bar, block_controls, clone, controls, data_set_controls, how_often, lacking, several
from pages.parts.folded import folded
from pages.parts.pressed import pressed
from pages.parts.state import service
from pages.parts.text import plain, say_error
from profcore.data_sets import DataSet, read_data_set
from profcore.errors import UserError
from profcore.experiments.joint import (
    LATIN,
    MASKS,
    STRATEGIES,
    TIERS,
    USUAL_DRAWN,
    USUAL_SAMPLES,
    JointValues,
    chosen_masks,
    combinations,
    joint_sweep,
    joint_values,
    parse_grid,
)
from profcore.experiments.knobs import CATALOGUE, parse_values
from profcore.spec.queries import DEFAULT_PROMPT, Picture
from profcore.spec.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.models.shape import Shape
    from profcore.spec.queries import QuerySet
    from profcore.spec.runs import Sweep

_GRIDS, _TIERS = "grids", "tiers"
_KNOBS = {"topks": "moe_topk", "blocks": "transformer_blocks_mask", "lengths": "output_tokens"}


@dataclass(frozen=True)
class _Asked:
    """What was chosen.

    Attributes:
        values: Of each knob.
        strategy: Which combinations.
        number: How many a Latin hypercube draws.
        pictures: Those that are tiled by tiers; None where grids are measured.
        quality: On what quality is recorded; with tiers it is on the pictures themselves.
        judged: Whether quality is recorded.
    """

    values: JointValues
    strategy: str
    number: int | None
    pictures: DataSet | None
    quality: DataSet | None
    judged: bool


def choose(config: Shape) -> None:
    """Draw the controls, ending in Run."""
    crops = st.segmented_control(
        "Crops", [_GRIDS, _TIERS], default=_GRIDS, required=True, key="joint-crops", bind="query-params"
    )
    tiered = crops == _TIERS
    texts = _choose_values(config, tiered)
    way = st.selectbox(
        "Which blocks", list(MASKS), key="joint-masks", bind="query-params", format_func=lambda name: MASKS[name]
    )
    strategy = st.selectbox("Strategy", list(STRATEGIES), key="strategy", bind="query-params")
    st.caption(STRATEGIES[strategy][0].upper() + STRATEGIES[strategy][1:] + ".")
    number = None
    if strategy == LATIN:
        number = int(st.number_input("Settings drawn", 2, 10_000, USUAL_DRAWN, key="drawn-settings"))
    often = how_often.choose(
        "Samples per picture and setting" if tiered else "Samples per setting",
        clone.MOST_SAMPLES,
        1 if tiered else USUAL_SAMPLES,
        "joint-pictures" if tiered else "joint-samples",
    )
    run = st.container()
    seed = _seed()
    pictures, quality, judged = _choose_pictures(tiered)
    picture, prompt = (Picture(), DEFAULT_PROMPT) if tiered else controls.choose_question("joint-")
    energy = controls.fold_energy("joint-energy")
    try:
        scores = block_controls.choose_scores(config) if way == "importance" else None
        masks = chosen_masks(_numbers(config, "blocks", texts), way, config.n_layers, scores=scores, seed=seed)
        values = _values(config, texts, masks)
        asked = _Asked(values, strategy, number, pictures, quality, judged)
        chosen = combinations(values, strategy, number, seed)
        if picture is None:
            raise UserError("Upload a picture, or choose another kind.")
        fixed = {"clock": bar.clock(), "picture": picture, "prompt": prompt, "energy": energy, "seed": seed}
        fixed["warmup"] = 1 if tiered else 2
        sweep = None if tiered else _sweep(asked, None, fixed, often, config)
    except UserError as error:
        with run:
            _offer_nothing(str(error))
        return
    with run:
        _say(asked, len(chosen), sweep, often)
        if bar.problem():
            st.caption(":material/error: The model cannot be measured: the bar on the left says why.")
        if pressed(
            "Run",
            "run-joint",
            type="primary",
            icon=":material/play_arrow:",
            width="stretch",
            disabled=bool(bar.problem()),
        ):
            _start(asked, fixed, often, config)


def _choose_values(config: Shape, tiered: bool) -> dict[str, str]:
    """Draw the values of each knob, as a person writes them."""
    texts = {}
    if tiered:
        names = st.pills("Tiers of crops", TIERS, default=TIERS[:2], selection_mode="multi", key="joint-tiers")
        texts["crops"] = " ".join(names)
        st.caption(f"low: 1 to 3 crops, medium: 4 to 8, high: 9 to {config.max_crops:d}.")
    else:
        texts["crops"] = lacking.text(
            "Image grids",
            lacking.usual_grids(config),
            config.vision_reason,
            "joint-grids",
            help="Rows x columns, or N for 1xN.",
        )
    powers = [power for power in (2, 4, 8) if power <= config.num_experts] or [config.top_k]
    usual = {
        "topks": ("Top-k", " ".join(map(str, powers))),
        "blocks": ("Active blocks", " ".join(map(str, sorted({-(-config.n_layers // 2), config.n_layers})))),
        # Where nothing else can, these vary beside the blocks: a joint sweep turns two knobs.
        "lengths": ("Output tokens", "5 10" if config.top_k_reason and config.vision_reason else "10"),
    }
    for key, (label, value) in usual.items():
        why = config.top_k_reason if key == "topks" else ""
        texts[key] = lacking.text(label, str(config.top_k) if why else value, why, f"joint-{key}")
    return texts


def _numbers(config: Shape, key: str, texts: dict[str, str]) -> Sequence[int | str]:
    return parse_values(CATALOGUE[_KNOBS[key]], texts[key], config)


def _values(config: Shape, texts: dict[str, str], masks: Sequence[tuple[bool, ...]]) -> JointValues:
    """The values that were written.

    Raises:
        UserError: One cannot be, or fewer than two knobs vary.
    """
    words = texts["crops"].replace(",", " ").split()
    if not words:
        raise UserError("Image grid has no value: give at least one.")
    tiers = words if set(words) <= set(TIERS) else []
    return joint_values(
        config,
        grids=[] if tiers else [parse_grid(word) for word in words],
        top_ks=[int(each) for each in _numbers(config, "topks", texts)],
        masks=masks,
        output_tokens=[int(each) for each in _numbers(config, "lengths", texts)],
        tiers=tiers,
    )


def _seed() -> int:
    def draw() -> int:
        return int(st.number_input("Of what is drawn, and of the visiting order", 0, 2**31, 0, key="joint-seed"))

    return folded("Seed", "folded-joint-seed", ("joint-seed",), draw, 0)


def _choose_pictures(tiered: bool) -> tuple[DataSet | None, DataSet | None, bool]:
    """Draw the pictures of tiers, whether quality is recorded, and on what."""
    if tiered:
        with st.expander("Pictures", expanded=True):
            pictures = data_set_controls.choose("tiers-", 8)
            judged = st.toggle("Record whether each answer is right", key="tiers-quality")
        return pictures, None, judged
    quality = controls.fold_quality("joint-quality", "Each picture is put into the setting's own grid of crops.")
    return None, quality, quality is not None


def _sweep(asked: _Asked, queries: QuerySet | None, fixed: dict, often: how_often.HowOften, config: Shape) -> Sweep:
    """The sweep that was chosen.

    Raises:
        UserError: It cannot be measured.
    """
    sweep = joint_sweep(asked.values, strategy=asked.strategy, number=asked.number, queries=queries, **fixed)
    bar.check(sweep, config)
    return often.of(sweep)


def _say(asked: _Asked, chosen: int, sweep: Sweep | None, often: how_often.HowOften) -> None:
    """What Run would measure, and about how long it takes."""
    st.markdown(f"**{chosen:,} of {counted(asked.values.combinations, 'combination')}**")
    if sweep is None:
        st.caption(
            f"Each on every picture, × {often.num_samples:d}. How many pictures there are is known once they are read."
        )
        return
    settings = counted(len(sweep.settings), "setting")
    st.caption(plain(f"{how_often.inferences(sweep).capitalize()}: {settings} {how_often.each_setting(sweep)}."))
    if not bar.problem():
        st.caption(plain(several.estimate([(bar.target(), sweep)])))
    if note := service().space_note([sweep]):
        st.warning(plain(note))
    controls.busy_notes()


def _offer_nothing(problem: str) -> None:
    say_error(problem)
    st.button("Run", key="run-joint-not", type="primary", icon=":material/play_arrow:", width="stretch", disabled=True)


def _start(asked: _Asked, fixed: dict, often: how_often.HowOften, config: Shape) -> None:
    """Read the pictures and questions, and queue the run."""
    try:
        queries = read_data_set(asked.pictures) if asked.pictures else None
        sweep = _sweep(asked, queries, fixed, often, config)
        if asked.judged:
            sweep = replace(sweep, quality=queries if asked.quality is None else read_data_set(asked.quality))
        st.session_state["run"] = service().start(bar.target(), sweep, bar.devices())
    except UserError as error:
        say_error(error)
