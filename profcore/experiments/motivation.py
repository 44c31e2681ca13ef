"""The catalogue of Motivation experiments, which measure real pictures, and how each becomes a sweep."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE, JOINT, MAX_GRID, Named
from profcore.images.processing import select_tiling
from profcore.spec.queries import DEFAULT_PROMPT, QueryPlan, QuerySet, Skipped
from profcore.spec.runs import Sweep
from profcore.spec.settings import Setting
from profcore.spec.stages import Clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.models.shape import Shape
    from profcore.spec.until import Until


@dataclass(frozen=True)
class Motivation(Named):
    """One Motivation experiment.

    Attributes:
        text: What it asks, in a sentence.
        queries: How many pictures it takes unless told otherwise; None for all.
        num_samples: Timed inferences for each picture at each setting.
        output_tokens: Tokens each inference generates.
    """

    text: str
    queries: int | None
    num_samples: int
    output_tokens: tuple[int, ...]


MOTIVATION: dict[str, Motivation] = {
    experiment.name: experiment
    for experiment in (
        Motivation(
            name="latency_distribution",
            number=1,
            title="Latency distribution",
            text="How long does an answer take over the pictures and questions of a data set?",
            file="exp1_latency_distribution.json",
            queries=None,
            num_samples=5,
            output_tokens=(10,),
        ),
        Motivation(
            name="component_profiling",
            number=2,
            title="Component profiling",
            text="Which component holds the parameters, and which takes the time to the first token?",
            file="exp2_component_profiling.json",
            queries=None,
            num_samples=5,
            output_tokens=(1,),
        ),
        Motivation(
            name="vision_tokens_vs_latency",
            number=3,
            title="Vision tokens vs latency",
            text="What does each vision token cost, with real pictures cropped to grids from 1×1 to 1×12?",
            file="exp3_vision_tokens_vs_latency.json",
            queries=10,
            num_samples=1,
            output_tokens=(1,),
        ),
        Motivation(
            name="language_tokens_vs_latency",
            number=4,
            title="Language tokens vs latency",
            text="What does each output token cost, from 8 to as many as the model's context holds?",
            file="exp4_language_tokens_vs_latency.json",
            queries=10,
            num_samples=1,
            output_tokens=(8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096),
        ),
        Motivation(
            name="flops_vs_latency",
            number=5,
            title="FLOPs vs latency",
            text="Do theoretical FLOPs predict latency? Measured on experiments 3 and 4.",
            file="exp5_flops_vs_latency.json",
            queries=10,
            num_samples=1,
            output_tokens=(),
        ),
    )
}
DERIVED = "flops_vs_latency"
FLOPS_SOURCES = ("vision_tokens_vs_latency", "language_tokens_vs_latency")
"""The experiments that FLOPs are compared with the latencies of."""


def asks_each_picture_once(name: str) -> bool:
    """Whether an experiment puts one question to each picture: those that are about pictures, not about questions."""
    return name in (*FLOPS_SOURCES, DERIVED)


def find_experiment(name: str) -> Named:
    """The experiment of that name: of either catalogue, or the joint one.

    Raises:
        UserError: There is none.
    """
    found = CATALOGUE.get(name) or MOTIVATION.get(name) or (JOINT if name == JOINT.name else None)
    if found is None:
        names = [*CATALOGUE, JOINT.name, *MOTIVATION]
        raise UserError(f"There is no experiment {name!r}: choose from {', '.join(names)}.")
    return found


def experiment_title(name: str) -> str:
    """What pages call an experiment (see `find_experiment`)."""
    return find_experiment(name).title


def plan(
    experiment: Motivation,
    queries: QuerySet,
    config: Shape,
    *,
    num_pictures: int | None = None,
    num_samples: int | None = None,
    output_tokens: Sequence[int] = (),
    max_grid: int = MAX_GRID,
    stop_at_eos: bool = False,
    warmup: int = 1,
    seed: int = 0,
    clock: Clock = Clock.EVENTS,
) -> Sweep:
    """The sweep that measures an experiment on some queries.

    Each picture is tiled by the model's own rule, so that its vision tokens are those of real use; but for experiment
    3, which crops every picture to each grid and puts one question to all, so that vision tokens alone differ.

    Args:
        experiment: Not a derived one.
        queries: As a data set gives them.
        config: The model's shape.
        num_pictures: How many pictures, for experiments 1 and 2 questions, to measure; None for the experiment's own.
        num_samples: Timed inferences for each picture at each setting; None for the experiment's own.
        output_tokens: Tokens to generate; the experiment's own unless given.
        max_grid: Experiment 3's widest grid.
        stop_at_eos: See `Sweep`.
        warmup: As in `Sweep`.
        seed: As in `Sweep`.
        clock: As in `Sweep`.

    Raises:
        UserError: A value is out of range or given twice.
    """
    if output_tokens and experiment.output_tokens == (1,):
        raise UserError(f"{experiment.title} ends with the first token: output tokens are not its to choose.")
    own_mask = (True,) * config.n_layers
    lengths = tuple(output_tokens) or experiment.output_tokens
    if len(set(lengths)) != len(lengths):
        raise UserError("Output tokens: each value can be measured once in a run, but some are given twice.")
    fitted = experiment.name == "vision_tokens_vs_latency"
    queries = _measured(experiment, queries, num_pictures)
    chosen = queries.queries
    if fitted:
        if not 1 <= max_grid <= MAX_GRID:
            raise UserError(f"A widest grid of 1×{max_grid} is out of range: give 1 to {MAX_GRID}.")
        chosen = tuple(replace(query, question=DEFAULT_PROMPT) for query in chosen)
        grids = [(1, columns) for columns in range(1, max_grid + 1)]
        pairs = [(grid, index) for grid in grids for index in range(len(chosen))]
    else:
        pairs = [
            (select_tiling(query.height, query.width, config.max_crops), index) for index, query in enumerate(chosen)
        ]
    settings = [(Setting(grid, config.top_k, own_mask, length), index) for length in lengths for grid, index in pairs]
    return Sweep(
        experiment=experiment.name,
        settings=tuple(setting for setting, _ in settings),
        num_samples=experiment.num_samples if num_samples is None else num_samples,
        warmup=warmup,
        seed=seed,
        clock=clock,
        plan=QueryPlan(replace(queries, queries=chosen), tuple(index for _, index in settings), fitted),
        stop_at_eos=stop_at_eos,
    )


def _measured(experiment: Motivation, queries: QuerySet, num_pictures: int | None) -> QuerySet:
    """The queries that are measured: as many as asked for, and where there are fewer, why."""
    chosen = queries.queries
    if asks_each_picture_once(experiment.name):
        chosen = tuple({query.image_id: query for query in reversed(chosen)}.values())[::-1]
    there = len(chosen)
    chosen = chosen[: experiment.queries if num_pictures is None else num_pictures]
    wanted = there if num_pictures is None else num_pictures
    if len(chosen) == wanted:
        return replace(queries, queries=chosen)
    what = "pictures" if asks_each_picture_once(experiment.name) else "questions"
    reason = (
        f"{experiment.title} takes {experiment.queries} {what} unless a number is given."
        if num_pictures is None
        else f"{queries.name} has only {there} {what} that can be measured."
    )
    lacking = Skipped(f"{wanted - len(chosen)} of {wanted} {what}", reason)
    return replace(queries, queries=chosen, skipped=(*queries.skipped, lacking))


def may_be_open_ended(name: str) -> bool:
    """Whether the settings of an experiment may have unequally many samples."""
    return name not in _POOLED


def check_open_ended(name: str) -> None:
    """Whether the settings of an experiment may have unequally many samples.

    Raises:
        UserError: They may not.
    """
    if not may_be_open_ended(name):
        raise UserError(
            f"{experiment_title(name)} takes all samples together, so that each picture must have equally many: give "
            "a number of samples instead of a precision."
        )


def sampled_until(sweep: Sweep, until: Until, most: int) -> Sweep:
    """A sweep whose settings are each sampled until they are precise.

    Args:
        sweep: Of a knob, or of real pictures.
        until: How precise.
        most: The most samples of a setting.

    Raises:
        UserError: It is of an experiment that counts each picture equally often, or there may be no such bound.
    """
    check_open_ended(sweep.experiment)
    return replace(sweep, num_samples=most, until=until)


_POOLED = ("latency_distribution", "component_profiling")
"""The experiments that look at the samples of all pictures together, not at one figure of each."""


def plan_all(name: str, queries: QuerySet, config: Shape, **options: Any) -> list[Sweep]:
    """The sweeps that measure an experiment: its own, or, where it is derived, those that it is derived from.

    Args:
        name: The experiment.
        queries: As a data set gives them.
        config: The model's shape.
        options: As `plan`; of a derived experiment, output tokens and their end are experiment 4's alone.

    Raises:
        UserError: As `plan`.
    """
    if name != DERIVED:
        return [plan(MOTIVATION[name], queries, config, **options)]
    shared = {key: value for key, value in options.items() if key not in ("output_tokens", "stop_at_eos")}
    pictures, answers = (MOTIVATION[each] for each in FLOPS_SOURCES)
    return [plan(pictures, queries, config, **shared), plan(answers, queries, config, **options)]
