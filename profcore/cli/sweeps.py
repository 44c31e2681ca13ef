"""The sweeps that the options of `run` ask for."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from profcore.cli.common import picture_of
from profcore.cli.options import until_of
from profcore.cli.values import existing_file
from profcore.comparisons import flops_scaling
from profcore.errors import UserError
from profcore.experiments.block_choice import above, most_important, read_scores
from profcore.experiments.joint import (
    MASKS,
    STRATEGIES,
    USUAL_SAMPLES,
    JointValues,
    chosen_masks,
    joint_sweep,
    joint_values,
    parse_grid,
)
from profcore.experiments.knobs import (
    CATALOGUE,
    JOINT,
    MAX_GRID,
    Experiment,
    base_setting,
    build_settings,
    check_knob,
    default_values,
    get_experiment,
    parse_values,
    why_not,
)
from profcore.experiments.motivation import MOTIVATION, plan_all, sampled_until
from profcore.models.families.shape import FamilyShape
from profcore.spec.queries import DEFAULT_PROMPT
from profcore.spec.runs import Sweep
from profcore.spec.settings import Setting, parse_mask
from profcore.spec.stages import Clock, Knob

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.models.shape import Shape
    from profcore.spec.queries import QuerySet


def _given_values(
    experiment: Experiment, options: argparse.Namespace, config: Shape
) -> Sequence[int | str | tuple[int, int]]:
    """The knob's values as the options say, or its defaults."""
    if experiment.knob is Knob.VISION_TOKENS:
        if options.grids:
            return [parse_grid(text) for text in options.grids]
        largest = options.max_grid_size
        if largest is not None and largest < 1:
            raise UserError(f"--max-grid-size {largest} is out of range: give 1 to 12.")
        return range(1, largest + 1) if largest is not None else default_values(experiment, config)
    if experiment.knob is Knob.ACTIVE_BLOCKS and (options.importance_file or options.importance_threshold):
        return _important_blocks(options, config)
    given = {
        Knob.TOP_K: options.top_k_values,
        Knob.ACTIVE_BLOCKS: options.num_active_blocks,
        Knob.OUTPUT_TOKENS: options.max_new_tokens,
    }[experiment.knob]
    return parse_values(experiment, " ".join(given), config) if given else default_values(experiment, config)


def _important_blocks(options: argparse.Namespace, config: Shape) -> list[int | str]:
    """Masks by a score file: of each number of blocks, or of each threshold."""
    if not options.importance_file:
        raise UserError("A threshold needs scores: name them with --importance-file FILE.")
    data = existing_file(options.importance_file)
    blocks = config.n_layers
    scores = read_scores(data, str(options.importance_file), blocks)
    if options.importance_threshold:
        return [above(scores, threshold, blocks) for threshold in options.importance_threshold]
    least = max(blocks - len(scores), 1)
    if not options.num_active_blocks:
        return [most_important(scores, number, blocks) for number in range(least, blocks + 1)]
    given = parse_values(CATALOGUE["transformer_blocks_mask"], " ".join(options.num_active_blocks), config)
    return [value if isinstance(value, str) else most_important(scores, value, blocks) for value in given]


def _base(experiment: Experiment, options: argparse.Namespace, config: Shape) -> Setting:
    own = base_setting(experiment, config)
    return Setting(
        # The least is the model's own, whichever that is.
        grid=own.grid if options.grid == 1 else (1, options.grid),
        top_k=own.top_k if options.top_k is None else options.top_k,
        block_mask=parse_mask(options.block_mask) if options.block_mask else own.block_mask,
        output_tokens=own.output_tokens if options.output_tokens is None else options.output_tokens,
    )


def plan_sweeps(options: argparse.Namespace, queries: QuerySet | None, config: Shape) -> list[Sweep]:
    """The sweeps of the experiment that the options name, for a model of this shape.

    Raises:
        UserError: A value is out of range, given twice, or none of this experiment's.
    """
    enough = until_of(options)
    if options.experiment in MOTIVATION and queries:
        sweeps = motivation_sweeps(options, queries, config)
    elif options.experiment == JOINT.name:
        sweeps = [planned_joint(options, queries, config)]
    else:
        planned = profiling_sweeps(options, config)
        sweeps = [replace(sweep, quality=queries) if is_judged(sweep.experiment) else sweep for sweep in planned]
    return [sampled_until(sweep, *enough) for sweep in sweeps] if enough else sweeps


def profiling_sweeps(options: argparse.Namespace, config: Shape) -> list[Sweep]:
    """A sweep of each knob that was asked for."""
    names = list(CATALOGUE) if options.experiment == "all" else [options.experiment]
    sweeps = []
    for name in names:
        experiment = get_experiment("moe_topk" if name == flops_scaling.EXPERIMENT else name)
        if options.experiment == "all" and why_not(experiment, config):
            continue
        check_knob(experiment, config)
        values = _given_values(experiment, options, config)
        if name == flops_scaling.EXPERIMENT and not options.top_k_values:
            values = [value for value in flops_scaling.VALUES if value <= config.num_experts]
        if name == flops_scaling.EXPERIMENT and len(values) < 2:
            raise UserError("FLOPs scaling compares values of top-k: give two or more.")
        sweeps.append(
            Sweep(
                experiment=experiment.name,
                settings=build_settings(experiment, values, _base(experiment, options, config)),
                num_samples=_repeated(50 if options.num_samples is None else options.num_samples, options),
                warmup=2 if options.warmup is None else options.warmup,
                seed=options.seed,
                clock=Clock(options.clock),
                picture=picture_of(options.image),
                prompt=DEFAULT_PROMPT if options.prompt is None else options.prompt,
                energy=getattr(options, "energy", False),
            )
        )
    return sweeps


def check_joint_options(options: argparse.Namespace) -> None:
    """Whether options of joint sweeps, and of real pictures, are given to one.

    Raises:
        UserError: They are given to another experiment, or do not go together.
    """
    if options.stop_at_eos and options.experiment not in MOTIVATION and not options.tiers:
        raise UserError(
            "--stop-at-eos is of real pictures, whose answers end by themselves: a knob's settings have the lengths "
            "that are asked for. Leave it out, or run latency_distribution."
        )
    for name in ("strategy", "settings", "tiers", "masks"):
        if getattr(options, name) is not None and options.experiment != JOINT.name:
            raise UserError(f"--{name} is of joint sweeps alone: run joint, or leave it out.")
    if options.experiment == JOINT.name and options.tiers and options.grids:
        raise UserError("--tiers stands in place of --grids: within a tier each picture takes its own tiling.")


def is_judged(name: str) -> bool:
    """Whether the knob of an experiment is one that quality follows, as a sweep of one knob records it.

    Pictures are tiled there by the model's own rule, and answers are as long as questions need: grids and lengths would
    all be said to cost no quality.
    """
    return get_experiment(name).knob in (Knob.TOP_K, Knob.ACTIVE_BLOCKS)


def check_quality_option(options: argparse.Namespace) -> None:
    """Whether quality is asked for where it can be recorded.

    Raises:
        UserError: It is not.
    """
    name = "moe_topk" if options.experiment == flops_scaling.EXPERIMENT else options.experiment
    if not options.quality or name in ("all", JOINT.name) or (name in CATALOGUE and is_judged(name)):
        return
    raise UserError(
        f"{options.experiment} records no quality, which follows top-k and blocks there alone: run joint with "
        "--quality for grids, tiers and lengths of answers, or leave it out."
    )


def planned_joint(options: argparse.Namespace, queries: QuerySet | None, config: Shape) -> Sweep:
    """The joint sweep that the options ask for."""
    tiers = options.tiers or ()
    samples = (1 if tiers else USUAL_SAMPLES) if options.num_samples is None else options.num_samples
    usual_warmup = 1 if tiers else 2
    return joint_sweep(
        _joint_values(options, config),
        strategy=options.strategy or next(iter(STRATEGIES)),
        number=options.settings,
        queries=queries,
        quality=queries if options.quality else None,
        num_samples=_repeated(samples, options),
        warmup=usual_warmup if options.warmup is None else options.warmup,
        seed=options.seed,
        clock=Clock(options.clock),
        picture=picture_of(options.image),
        prompt=DEFAULT_PROMPT if options.prompt is None else options.prompt,
        stop_at_eos=bool(tiers) and options.stop_at_eos,
        energy=options.energy,
    )


def _joint_values(options: argparse.Namespace, config: Shape) -> JointValues:
    """The values of each knob; one that is not given stands where it stands while another is turned."""
    base = _base(CATALOGUE["moe_topk"], options, config)
    given = {
        name: parse_values(CATALOGUE[name], " ".join(words), config) if words else None
        for name, words in (
            ("moe_topk", options.top_k_values),
            ("transformer_blocks_mask", options.num_active_blocks),
            ("output_tokens", options.max_new_tokens),
        )
    }
    blocks = given["transformer_blocks_mask"]
    return joint_values(
        config,
        grids=[parse_grid(text) for text in options.grids] if options.grids else (base.grid,),
        top_ks=[int(each) for each in given["moe_topk"] or (base.top_k,)],
        masks=_joint_masks(options, blocks, config) if blocks else (base.block_mask,),
        output_tokens=[int(each) for each in given["output_tokens"] or (base.output_tokens,)],
        tiers=options.tiers or (),
    )


def _joint_masks(
    options: argparse.Namespace, values: Sequence[int | str], config: Shape
) -> tuple[tuple[bool, ...], ...]:
    """The masks that numbers of blocks stand for; by importance where there is a file of it."""
    file = options.importance_file
    scores = read_scores(existing_file(file), str(file), config.n_layers) if file else None
    way = options.masks or ("importance" if file else next(iter(MASKS)))
    return chosen_masks(values, way, config.n_layers, scores=scores, seed=options.seed)


def motivation_sweeps(options: argparse.Namespace, queries: QuerySet, config: Shape) -> list[Sweep]:
    """The sweeps of a Motivation experiment on the data set's queries."""
    if options.experiment == "flops_vs_latency" and isinstance(config, FamilyShape):
        raise UserError(
            f"FLOPs of each picture are counted by formula, and for MolmoE alone: run latency_distribution for "
            f"{config.name}, or flops_scaling over top-k."
        )
    lengths = " ".join(options.max_new_tokens or ())
    told = options.num_samples is not None or options.num_runs is not None
    samples = 1 if options.num_samples is None else options.num_samples
    return plan_all(
        options.experiment,
        queries,
        config,
        num_pictures=options.num_pictures,
        num_samples=_repeated(samples, options) if told else None,
        output_tokens=[int(value) for value in parse_values(CATALOGUE["output_tokens"], lengths, config)],
        max_grid=MAX_GRID if options.max_grid_size is None else options.max_grid_size,
        stop_at_eos=options.stop_at_eos,
        warmup=1 if options.warmup is None else options.warmup,
        seed=options.seed,
        clock=Clock(options.clock),
    )


def _repeated(samples: int, options: argparse.Namespace) -> int:
    """Timed inferences: what the published scripts call samples, each repeated as often as their runs say."""
    return samples * (1 if options.num_runs is None else options.num_runs)
