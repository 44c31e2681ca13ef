"""`run`: measure experiments and write their result files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from profcore.cli.common import check_database, data_set_of, database_of, picture_of, target_of
from profcore.cli.options import add_data_set, add_database, add_picture, add_spool_only, add_target
from profcore.cli.progress import measure
from profcore.cli.report import FLOPS_VS_LATENCY, report_flops, report_run
from profcore.cli.sweeps import plan_sweeps
from profcore.cli.values import make_output_directory, whole_number
from profcore.comparisons import flops_scaling
from profcore.data_sets import read_data_set
from profcore.experiments.knobs import (
    CATALOGUE,
)
from profcore.experiments.motivation import MOTIVATION
from profcore.images.pictures import load_picture
from profcore.models.config import model_shape
from profcore.models.knobs import check_setting
from profcore.spec.runs import RunSpec
from profcore.spec.stages import Clock, State
from profcore.storage.spool import SpoolWriter, spool_path

if TYPE_CHECKING:
    from profcore.models.config import MolmoConfig
    from profcore.spec.queries import QuerySet
    from profcore.spec.runs import Sweep


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `run`."""
    parser = commands.add_parser("run", help="measure an experiment, or all of them")
    parser.add_argument(
        "experiment",
        choices=[*CATALOGUE, flops_scaling.EXPERIMENT, *MOTIVATION, "all"],
        metavar="EXPERIMENT",
        help=f"one of {', '.join(CATALOGUE)}, or all of these four; {flops_scaling.EXPERIMENT}; "
        f"or, on real pictures, one of {', '.join(MOTIVATION)}",
    )
    add_target(parser)
    _add_sampling(parser)
    _add_knobs(parser)
    add_picture(parser)
    _add_quality(parser)
    add_data_set(parser)
    parser.add_argument(
        "--stop-at-eos", action="store_true", help="on real pictures: end answers at the end-of-text token"
    )
    parser.add_argument("--output-dir", type=Path, help="for result files (results/profiling, results/motivation)")
    add_database(parser)
    add_spool_only(parser)
    parser.set_defaults(command=run)


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clock", choices=[str(clock) for clock in Clock], default="events", help="how time is taken")
    parser.add_argument(
        "--num-samples", type=whole_number, help="timed inferences per setting (50; on real pictures 1 or 5)"
    )
    text = "how often each sample is repeated, as the published scripts call it (1)"
    parser.add_argument("--num-runs", type=whole_number, help=text)
    parser.add_argument("--warmup", type=whole_number, help="untimed inferences per setting (2; on real pictures 1)")
    parser.add_argument("--seed", type=whole_number, default=0, help="seed of the visiting order (0)")


def _add_knobs(parser: argparse.ArgumentParser) -> None:
    """The values of the knob that is turned, and where the others stand meanwhile."""
    parser.add_argument("--max-grid-size", type=whole_number, help="context_scaling: grids 1×1 to 1×N (12)")
    parser.add_argument("--top-k-values", nargs="+", metavar="K", help="moe_topk: values (1 2 4 8 16 32)")
    parser.add_argument(
        "--num-active-blocks", nargs="+", metavar="N", help="transformer_blocks_mask: first N, or masks"
    )
    text = "output tokens: values (1 5 10 … 200; 8 16 … 4096)"
    parser.add_argument("--max-new-tokens", nargs="+", metavar="N", help=text)
    parser.add_argument("--grid", type=whole_number, default=1, help="image grid 1×N while another knob is turned (1)")
    parser.add_argument("--top-k", type=whole_number, help="top-k while another knob is turned (the model's own)")
    text = "blocks that run while another knob is turned, such as 1011"
    parser.add_argument("--block-mask", metavar="MASK", help=text)


def _add_quality(parser: argparse.ArgumentParser) -> None:
    text = "scores that blocks are chosen by, not first N"
    parser.add_argument("--importance-file", type=Path, metavar="FILE", help=text)
    parser.add_argument(
        "--importance-threshold", type=float, nargs="+", metavar="T", help="blocks that score at least T"
    )
    parser.add_argument("--quality", action="store_true", help="record KL and accuracy of each setting on the data set")


def run(options: argparse.Namespace) -> int:
    """Measure experiments, write their result files and print what they say."""
    # All that can be known to be wrong is said before torch is loaded, and before anything is written.
    make_output_directory(options.output_dir)
    make_output_directory(options.spool_only)
    spools = options.spool_only or check_database(database_of(options))
    target = target_of(options)
    queries = _queries(options)
    planned = plan_sweeps(options, queries, model_shape(target.model))
    _check(planned, model_shape(target.model))
    _say_what_is_lacking(planned, queries)
    from profcore.worker.shelf import ModelShelf

    shelf = ModelShelf()
    config = shelf.get(target).model.config
    shelf.engine(target)
    sweeps = plan_sweeps(options, queries, config)
    _check(sweeps, config)
    code, paths = 0, []
    for sweep in sweeps:
        spec = RunSpec.new(target, sweep)
        path = spool_path(spools, spec.id)
        with SpoolWriter(path) as writer:
            writer.run(spec)
            state = measure(spec, writer, shelf)
        code = max(code, report_run(options, spec, path, state))
        if state is State.STOPPED:
            return 130
        paths.append(path)
    if options.experiment == FLOPS_VS_LATENCY:
        report_flops(options, paths)
    return code


def _queries(options: argparse.Namespace) -> QuerySet | None:
    """The data set's queries where the experiment or its quality needs them, with what was passed over said."""
    if options.experiment not in MOTIVATION:
        load_picture(picture_of(options.image))
        if not options.quality:
            return None
    queries = read_data_set(data_set_of(options))
    for skipped in queries.skipped:
        print(f"Skipped {skipped.name}: {skipped.reason}", file=sys.stderr)
    print(f"{queries.name}: {len(queries.queries)} queries, {len(queries.skipped)} skipped", file=sys.stderr)
    return queries


def _say_what_is_lacking(sweeps: list[Sweep], queries: QuerySet | None) -> None:
    """Say why fewer pictures are measured than were asked for."""
    if queries is None:
        return
    known = set(queries.skipped)
    for lacking in dict.fromkeys(each for sweep in sweeps if sweep.plan for each in sweep.plan.queries.skipped):
        if lacking not in known:
            print(f"Not measured, {lacking.name}: {lacking.reason}", file=sys.stderr)


def _check(sweeps: list[Sweep], config: MolmoConfig) -> None:
    for sweep in sweeps:
        for setting in sweep.settings:
            check_setting(setting, config)
