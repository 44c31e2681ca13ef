"""`run`: measure experiments and write their result files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from profcore.cli import completion
from profcore.cli.command_parser import Commands, add_command
from profcore.cli.common import check_database, data_set_of, database_of, picture_of, refuse_early, target_of
from profcore.cli.completion import with_completer
from profcore.cli.options import (
    add_data_set,
    add_database,
    add_picture,
    add_spool_only,
    add_target,
    add_until,
    until_of,
)
from profcore.cli.progress import measure
from profcore.cli.report import FLOPS_VS_LATENCY, report_flops, report_run
from profcore.cli.resume import check_machine, resume
from profcore.cli.several import check_several, measure_on_several, names_several, workers
from profcore.cli.shard import add_shard, check_shard_options, is_begun, is_done, report_shard, specs_of
from profcore.cli.sweeps import check_joint_options, check_quality_option, plan_sweeps
from profcore.cli.values import grid_text, make_output_directory, whole_number
from profcore.comparisons import flops_scaling
from profcore.data_sets import read_data_set
from profcore.engines.names import check_engine
from profcore.errors import UserError
from profcore.experiments.joint import MASKS, STRATEGIES, TIERS, USUAL_DRAWN
from profcore.experiments.knobs import CATALOGUE, JOINT, why_not
from profcore.experiments.motivation import MOTIVATION, check_open_ended
from profcore.images.pictures import load_picture
from profcore.measure.card import Card
from profcore.models.config import model_shape
from profcore.models.context import check_sweep
from profcore.models.families.shape import FamilyShape
from profcore.roofline.cache_memory import check_cache
from profcore.roofline.model_sizes import size_of, size_of_parts
from profcore.spec.runs import Target
from profcore.spec.stages import Clock, State
from profcore.spec.text import counted
from profcore.storage.space import space_note
from profcore.storage.spool import SpoolWriter, spool_path
from profcore.worker.busy import HostLoad, notes_before

if TYPE_CHECKING:
    from profcore.models.shape import Shape
    from profcore.spec.queries import QuerySet
    from profcore.spec.runs import Sweep


_NO_ENERGY = "Energy is measured on NVIDIA GPUs alone, and this is a CPU: leave --energy out."


def register(commands: Commands) -> None:
    """Add `run`."""
    parser = add_command(
        commands,
        "run",
        "measure an experiment, or all of them",
        "moe_topk --engine compiled --num-samples 20",
        "context_scaling --max-grid-size 6 --image cat.jpg",
        "latency_distribution --data-set folder --data pics",
        "joint --grids 1x1 2x2 3x4 --top-k-values 2 4 8 --num-active-blocks 8 12 16 --strategy stratified",
        "moe_topk --until 1%%",
        "--resume RUN",
    )
    resumed = parser.add_argument("--resume", metavar="RUN", help="go on with a run that ended before it was done")
    with_completer(resumed, completion.runs)
    parser.add_argument(
        "experiment",
        nargs="?",
        choices=[*CATALOGUE, flops_scaling.EXPERIMENT, JOINT.name, *MOTIVATION, "all"],
        metavar="EXPERIMENT",
        help=f"one of {', '.join(CATALOGUE)}, or all of these four; {flops_scaling.EXPERIMENT}; {JOINT.name}, several "
        f"of these knobs at once; or, on real pictures, one of {', '.join(MOTIVATION)}",
    )
    add_run_options(parser)
    parser.set_defaults(command=run)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """What is measured, how often, on what, and where results go."""
    add_measuring(parser)
    parser.add_argument("--output-dir", type=Path, help="for result files (results/profiling, results/motivation)")
    add_database(parser)
    add_spool_only(parser)
    add_shard(parser)
    # Told by `repeat` to the processes that it starts.
    parser.add_argument("--series", help=argparse.SUPPRESS)


def add_measuring(parser: argparse.ArgumentParser) -> None:
    """What is measured, how often and on what."""
    add_target(parser)
    _add_sampling(parser)
    _add_knobs(parser)
    _add_joint(parser)
    add_picture(parser)
    _add_quality(parser)
    add_data_set(parser)
    parser.add_argument(
        "--stop-at-eos", action="store_true", help="on real pictures: end answers at the end-of-text token"
    )


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clock", choices=[str(clock) for clock in Clock], default="events", help="how time is taken")
    parser.add_argument(
        "--num-samples", type=whole_number, help="timed inferences per setting (50; on real pictures 1 or 5)"
    )
    text = "how often each sample is repeated, as the published scripts call it (1)"
    add_until(parser)
    parser.add_argument("--num-runs", type=whole_number, help=text)
    parser.add_argument("--warmup", type=whole_number, help="untimed inferences per setting (2; on real pictures 1)")
    parser.add_argument("--seed", type=whole_number, default=0, help="seed of the visiting order (0)")


def _add_knobs(parser: argparse.ArgumentParser) -> None:
    """The values of the knob that is turned, and where the others stand meanwhile."""
    parser.add_argument("--max-grid-size", type=whole_number, help="context_scaling: grids 1×1 to 1×N (12)")
    text = "these image grids, such as 2x3, or N for 1×N"
    parser.add_argument("--grids", nargs="+", type=grid_text, metavar="GRID", help=f"context_scaling: {text}")
    parser.add_argument("--top-k-values", nargs="+", metavar="K", help="moe_topk: values (1 2 4 8 16 32)")
    parser.add_argument(
        "--num-active-blocks", nargs="+", metavar="N", help="transformer_blocks_mask: first N, or masks"
    )
    text = "output tokens: values (1 5 10 … 200; 8 16 … 4096)"
    parser.add_argument("--max-new-tokens", nargs="+", metavar="N", help=text)
    parser.add_argument("--grid", type=whole_number, default=1, help="image grid 1×N while another knob is turned (1)")
    parser.add_argument("--top-k", type=whole_number, help="top-k while another knob is turned (the model's own)")
    text = "tokens that an answer has while another knob is turned (1 for grids, 10)"
    parser.add_argument("--output-tokens", type=whole_number, metavar="N", help=text)
    text = "blocks that run while another knob is turned, such as 1011"
    parser.add_argument("--block-mask", metavar="MASK", help=text)


def _add_joint(parser: argparse.ArgumentParser) -> None:
    """What joint sweeps alone are told."""
    group = parser.add_argument_group("joint", "several knobs at once, by the values of each")
    said = "; ".join(f"{name}: {text}" for name, text in STRATEGIES.items())
    group.add_argument("--strategy", choices=list(STRATEGIES), help=f"which combinations; {said} (full)")
    text = f"how many settings lhs draws ({USUAL_DRAWN})"
    group.add_argument("--settings", type=whole_number, metavar="N", help=text)
    text = "in place of grids, on real pictures: ranges of crops from which each takes its best tiling"
    group.add_argument("--tiers", nargs="+", choices=TIERS, metavar="TIER", help=f"{text}: {', '.join(TIERS)}")
    said = "; ".join(f"{name}: {text}" for name, text in MASKS.items())
    group.add_argument("--masks", choices=list(MASKS), help=f"which blocks N active ones are; {said} (first)")


def _add_quality(parser: argparse.ArgumentParser) -> None:
    text = "scores that blocks are chosen by, not first N"
    parser.add_argument("--importance-file", type=Path, metavar="FILE", help=text)
    parser.add_argument(
        "--importance-threshold", type=float, nargs="+", metavar="T", help="blocks that score at least T"
    )
    parser.add_argument("--energy", action="store_true", help="measure joules by stage after the samples, on a GPU")
    parser.add_argument("--quality", action="store_true", help="record KL and accuracy of each setting on the data set")


def run(options: argparse.Namespace) -> int:
    """Measure experiments, or what is left of a run, write their result files and print what they say."""
    if options.resume is not None:
        if names_several(options.device):
            check_several(options)
        return resume(options)
    if options.experiment is None:
        raise UserError(
            f"Name what to measure: one of {', '.join([*CATALOGUE, JOINT.name])} or all, or a run with --resume RUN."
        )
    check_joint_options(options)
    check_quality_option(options)
    check_shard_options(options)
    if names_several(options.device):
        check_several(options)
    if until_of(options):
        check_open_ended(options.experiment)
    # All that can be known to be wrong is said before torch is loaded, and before anything is written.
    if options.energy:
        check_energy(options)
    make_output_directory(options.output_dir)
    make_output_directory(options.spool_only)
    spools = options.spool_only or check_database(database_of(options))
    queries = queries_of(options)
    refuse_early(
        options, lambda config, model: check_asked(options, plan_sweeps(options, queries, config), config, model)
    )
    if names_several(options.device):
        return _run_on_several(options, queries, spools)
    host = HostLoad()
    target = target_of(options)
    if options.energy and target.device == "cpu":
        raise UserError(_NO_ENERGY)
    planned = plan_sweeps(options, queries, model_shape(target.model))
    _check(planned, model_shape(target.model), target.model)
    check_memory(planned, target)
    if options.shard and all(is_done(spec, spool_path(spools, spec.id)) for spec in specs_of(options, target, planned)):
        return 0
    _say_what_is_lacking(planned, queries)
    _say_what_is_left_out(options, model_shape(target.model))
    if note := space_note(spools, planned):
        print(note, file=sys.stderr)
    from profcore.worker.shelf import ModelShelf

    shelf = ModelShelf()
    config = shelf.get(target).model.config
    shelf.engine(target)
    sweeps = plan_sweeps(options, queries, config)
    _check(sweeps, config, target.model)
    _say_of_device(target, host, options.energy)
    code, paths = 0, []
    for spec in specs_of(options, target, sweeps):
        path = spool_path(spools, spec.id)
        begun = is_begun(spec, path)
        if begun and is_done(spec, path):
            continue
        if begun:
            check_machine(path, spec)
        with SpoolWriter(path) as writer:
            if not begun:
                writer.run(spec)
            writer.owner("command")
            state = measure(spec, writer, shelf)
        report = report_shard if spec.shard else report_run
        code = max(code, report(options, spec, path, state))
        if state is State.STOPPED:
            return 130
        paths.append(path)
    if options.experiment == FLOPS_VS_LATENCY:
        report_flops(options, paths)
    return code


def _run_on_several(options: argparse.Namespace, queries: QuerySet | None, spools: Path) -> int:
    """As `run`, on several devices together; each is known to its worker, and torch is not loaded here."""
    with workers(options, spools) as (jobs, devices):
        target = target_of(argparse.Namespace(**{**vars(options), "device": devices[0]}))
        check_engine(target.engine, target.device)
        if options.energy and target.device == "cpu":
            raise UserError(_NO_ENERGY)
        shape = model_shape(target.model)
        sweeps = plan_sweeps(options, queries, shape)
        _check(sweeps, shape, target.model)
        # Its worker has seen each device, without torch here.
        memory = next((each.get("memory_bytes") for each in jobs.devices() if each["id"] == target.device), None)
        for sweep in sweeps:
            check_cache(sweep, shape, target, memory)
        _say_what_is_lacking(sweeps, queries)
        if note := space_note(spools, sweeps):
            print(note, file=sys.stderr)
        return measure_on_several(options, jobs, devices, target, sweeps)


def check_energy(options: argparse.Namespace) -> None:
    """What of energy can be refused before it is known whether there is a GPU.

    Raises:
        UserError: There is no energy to be measured.
    """
    if options.experiment in MOTIVATION:
        raise UserError(f"Energy is measured of knobs, one of {', '.join(CATALOGUE)}: leave --energy out.")
    if options.device == "cpu":
        raise UserError(_NO_ENERGY)


def queries_of(options: argparse.Namespace) -> QuerySet | None:
    """The data set's queries where the experiment or its quality needs them, with what was passed over said."""
    if options.experiment not in MOTIVATION:
        load_picture(picture_of(options.image))
        if not options.quality and not options.tiers:
            return None
    queries = read_data_set(data_set_of(options))
    for skipped in queries.skipped:
        print(f"Skipped {skipped.name}: {skipped.reason}", file=sys.stderr)
    print(
        f"{queries.name}: {counted(len(queries.queries), 'query', 'queries')}, {len(queries.skipped)} skipped",
        file=sys.stderr,
    )
    return queries


def _say_what_is_lacking(sweeps: list[Sweep], queries: QuerySet | None) -> None:
    """Say why fewer pictures are measured than were asked for."""
    if queries is None:
        return
    known = set(queries.skipped)
    for lacking in dict.fromkeys(each for sweep in sweeps if sweep.plan for each in sweep.plan.queries.skipped):
        if lacking not in known:
            print(f"Not measured, {lacking.name}: {lacking.reason}", file=sys.stderr)


def _say_what_is_left_out(options: argparse.Namespace, config: Shape) -> None:
    """Say which knobs a model has not, and of which quality is not recorded, where all were asked for."""
    if options.experiment != "all":
        return
    for experiment in CATALOGUE.values():
        if reason := why_not(experiment, config):
            print(f"Left out, {experiment.title}: {reason}", file=sys.stderr)
    if options.quality:
        print("Quality is recorded of top-k and active blocks, which alone it follows here.", file=sys.stderr)


def _say_of_device(target: Target, host: HostLoad, energy: bool) -> None:
    """Warn where card or host is at work for others; the model is on the card by now, so that this process is as well.

    What the host did is looked at from before torch was loaded: with that it has a moment to look at.

    Raises:
        UserError: Energy is asked for, and the card says nothing of it.
    """
    from profcore.measure.energy import energy_refusal
    from profcore.measure.environment import card_of
    from profcore.models.load import resolve_device

    device = resolve_device(target.device)
    card = Card.find(card_of(device))
    if energy and (refusal := energy_refusal(device, card)):
        raise UserError(refusal)
    for note in notes_before(card, host):
        print(f"Warning: {note}", file=sys.stderr)


def check_asked(options: argparse.Namespace, sweeps: list[Sweep], config: Shape, model: str) -> None:
    """Whether sweeps can be measured on a model of this shape, and split as they are to be."""
    _check(sweeps, config, model)
    specs_of(options, Target(), sweeps)


def _check(sweeps: list[Sweep], config: Shape, model: str) -> None:
    for sweep in sweeps:
        check_sweep(sweep, config, model)


def check_memory(sweeps: list[Sweep], target: Target) -> None:
    """Whether the longest answers leave room for their cache on the device, before the model is loaded on it.

    Raises:
        UserError: They do not.
    """
    from profcore.models.load import resolve_device
    from profcore.models.memory import free_bytes

    shape, free = model_shape(target.model), free_bytes(resolve_device(target.device))
    size = size_of(target.model, shape)
    if size is None and isinstance(shape, FamilyShape):
        from profcore.models.families.counting import count_shape

        size = size_of_parts(target.model, shape, count_shape(shape))
    for sweep in sweeps:
        check_cache(sweep, shape, target, free, size)
