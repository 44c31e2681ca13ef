"""The catalogue of profiling experiments: each one's knob, defaults, file names and twin."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from profcore.errors import UserError
from profcore.models.context import usually_fits
from profcore.spec.settings import MAX_CROPS, Setting, first_blocks, parse_mask
from profcore.spec.stages import Knob
from profcore.spec.text import brief

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.models.shape import Shape

MAX_GRID = MAX_CROPS
"""The widest grid of one row."""

_MOST_DIGITS = 9


class KnobWords(NamedTuple):
    """What a knob is called where its values stand.

    Attributes:
        column: The column of a sample that holds its value.
        setting_column: The column of a setting that holds it.
        per: What a slope over it is per.
    """

    column: str
    setting_column: str
    per: str


KNOB_WORDS = {
    Knob.VISION_TOKENS: KnobWords("num_vision_tokens", "grid_columns", "per vision token"),
    Knob.TOP_K: KnobWords("top_k", "top_k", "per step of top-k"),
    Knob.ACTIVE_BLOCKS: KnobWords("active_blocks", "active_blocks", "per active block"),
    Knob.OUTPUT_TOKENS: KnobWords("num_output_tokens", "output_tokens", "per output token"),
}


@dataclass(frozen=True)
class Named:
    """What every experiment of either catalogue has.

    Attributes:
        name: How the command line and stored runs call it.
        number: Its number in published files.
        title: As pages and charts call it.
        file: Name of its result file; of a Motivation experiment without what tells its variants apart.
    """

    name: str
    number: int
    title: str
    file: str


@dataclass(frozen=True)
class Experiment(Named):
    """One profiling experiment.

    Attributes:
        axis: Title of the axis its knob is drawn on.
        folder: Folder under `results/profiling/`.
        field: The knob's field in result files.
        blocks: Statistics blocks of a summary entry by the stage they describe; None where the entry itself is one.
        output_tokens: Tokens each inference generates, unless they are the knob.
        values: Default values of the knob; empty where they follow from the model.
    """

    knob: Knob
    axis: str
    folder: str
    field: str
    blocks: dict[str, str] | None
    output_tokens: int
    values: tuple[int, ...]

    @property
    def per(self) -> str:
        """What a slope over the knob is per, such as 'per active block'."""
        return KNOB_WORDS[self.knob].per

    @property
    def column(self) -> str:
        """The column of a sample that holds the knob's value."""
        return KNOB_WORDS[self.knob].column

    @property
    def setting_column(self) -> str:
        """The column of a setting that holds the knob's value."""
        return KNOB_WORDS[self.knob].setting_column


CATALOGUE: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            name="context_scaling",
            number=1,
            title="Vision tokens",
            knob=Knob.VISION_TOKENS,
            axis="Vision tokens (image grid)",
            folder="context_scaling",
            file="exp1_context_scaling_results.json",
            field="grid",
            blocks=None,
            output_tokens=1,
            values=tuple(range(1, MAX_GRID + 1)),
        ),
        Experiment(
            name="moe_topk",
            number=2,
            title="MoE top-k",
            knob=Knob.TOP_K,
            axis="Top-k (experts per token)",
            folder="moe_topk",
            file="exp2_moe_topk_results.json",
            field="top_k",
            blocks={"prefill": "llm_prefill_ms", "decode": "llm_decode_ms"},
            output_tokens=10,
            values=(1, 2, 4, 8, 16, 32),
        ),
        Experiment(
            name="transformer_blocks_mask",
            number=3,
            title="Active blocks",
            knob=Knob.ACTIVE_BLOCKS,
            axis="Active transformer blocks",
            folder="transformer_blocks_mask",
            file="exp3_transformer_blocks_mask_results.json",
            field="num_active_blocks",
            blocks={"prefill": "llm_prefill_ms", "decode": "llm_decode_ms"},
            output_tokens=10,
            values=(),
        ),
        Experiment(
            name="output_tokens",
            number=4,
            title="Output tokens",
            knob=Knob.OUTPUT_TOKENS,
            axis="Output tokens",
            folder="output_tokens",
            file="exp4_output_tokens_scaling_results.json",
            field="max_new_tokens",
            blocks={"decode": "llm_decode_ms", "total": "total_ms"},
            output_tokens=10,
            values=(1, 5, 10, 20, 50, 100, 200),
        ),
    )
}


JOINT = Named(name="joint", number=7, title="Joint knobs", file="joint.zip")
"""Several knobs at once (see `experiments.joint`); its result files are one a setting."""


def get_experiment(name: str) -> Experiment:
    """The experiment of that name.

    Raises:
        UserError: There is none.
    """
    if name not in CATALOGUE:
        raise UserError(f"There is no experiment {name!r}: choose from {', '.join(CATALOGUE)}.")
    return CATALOGUE[name]


def setting_words(experiment: str, setting: Setting) -> str:
    """What a setting is called while it is measured, such as 'top-k 8'; empty for what turns no knob."""
    if experiment == JOINT.name:
        return ", ".join(_knob_words(knob, setting) for knob in Knob)
    if experiment not in CATALOGUE:
        return ""
    return _knob_words(CATALOGUE[experiment].knob, setting)


def _knob_words(knob: Knob, setting: Setting) -> str:
    if knob is Knob.VISION_TOKENS:
        return f"{setting.grid_label} grid"
    if knob is Knob.TOP_K:
        return f"top-k {setting.top_k}"
    blocks = knob is Knob.ACTIVE_BLOCKS
    number, noun = (setting.active_blocks, "active block") if blocks else (setting.output_tokens, "output token")
    return f"{number} {noun}{'' if number == 1 else 's'}"


def default_values(experiment: Experiment, config: Shape) -> tuple[int, ...]:
    """The knob's default values that a model of this shape has, those left out that its context does not hold."""
    if experiment.knob is Knob.ACTIVE_BLOCKS:
        return tuple(range(1, config.n_layers + 1))
    if experiment.knob is Knob.TOP_K:
        return tuple(value for value in experiment.values if value <= config.num_experts)
    values = config.row_grids() if experiment.knob is Knob.VISION_TOKENS else experiment.values
    base = base_setting(experiment, config)
    held = tuple(value for value in values if usually_fits(_turn(experiment.knob, value, base), config))
    # Where none is, whoever checks them says so.
    return held or values


def why_not(experiment: Experiment, config: Shape) -> str:
    """Why a model has not an experiment's knob, as a sentence; empty where it has."""
    return {Knob.TOP_K: config.top_k_reason, Knob.VISION_TOKENS: config.vision_reason}.get(experiment.knob, "")


def check_knob(experiment: Experiment, config: Shape) -> None:
    """Whether a model has an experiment's knob.

    Raises:
        UserError: It has not; the sentence says why.
    """
    if reason := why_not(experiment, config):
        raise UserError(f"{experiment.title} cannot be turned: {reason}")


def base_setting(experiment: Experiment, config: Shape) -> Setting:
    """Where the other knobs stand while one is turned: the smallest picture, the model's own top-k, every block."""
    return Setting((1, config.row_grids()[0]), config.top_k, (True,) * config.n_layers, experiment.output_tokens)


def build_settings(
    experiment: Experiment, values: Sequence[int | str | tuple[int, int]], base: Setting
) -> tuple[Setting, ...]:
    """One setting for each value of the experiment's knob.

    Args:
        experiment: Whose knob is turned.
        values: Columns of a 1×N grid or its rows and columns, top-k, number of first blocks or a block mask such as
            '1011', or output tokens.
        base: The other knobs.

    Raises:
        UserError: A value is given twice or is not possible.
    """
    settings = tuple(_turn(experiment.knob, value, base) for value in values)
    if len(set(settings)) != len(settings):
        raise UserError(f"{experiment.title}: each value can be measured once in a sweep, but some are given twice.")
    return settings


def _turn(knob: Knob, value: int | str | tuple[int, int], base: Setting) -> Setting:
    if isinstance(value, tuple):
        return replace(base, grid=value)
    if isinstance(value, str):
        return replace(base, block_mask=parse_mask(value))
    if knob is Knob.VISION_TOKENS:
        return replace(base, grid=(1, value))
    if knob is Knob.TOP_K:
        return replace(base, top_k=value)
    if knob is Knob.ACTIVE_BLOCKS:
        return replace(base, block_mask=first_blocks(value, len(base.block_mask)))
    return replace(base, output_tokens=value)


def parse_values(experiment: Experiment, text: str, config: Shape) -> list[int | str]:
    """Values of a knob as a person writes them: whole numbers, for the blocks also masks, apart by commas or spaces.

    Raises:
        UserError: A part of the text is no such value.
    """
    values: list[int | str] = []
    for part in text.replace(",", " ").split():
        if experiment.knob is Knob.ACTIVE_BLOCKS and len(part) > 2 and not set(part) - {"0", "1"}:
            if len(part) != config.n_layers:
                raise UserError(
                    f"Block mask {part} has {len(part)} entries, but the model has {config.n_layers} blocks."
                )
            values.append(part)
        # No knob has more digits, and of thousands Python makes no number.
        elif part.isdecimal() and len(part) <= _MOST_DIGITS:
            values.append(int(part))
        else:
            raise UserError(
                f"{brief(repr(part))} is no value of {experiment.title.lower()}: write whole numbers, such as 1 2 4."
            )
    return values
