"""`run`: measure experiments and write their result files."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from profcore.cli.common import (
    check_database,
    data_set_of,
    database_of,
    deliver,
    measure,
    picture_of,
    print_table,
    target_of,
)
from profcore.cli.options import add_data_set, add_database, add_picture, add_spool_only, add_target
from profcore.comparisons import flops_scaling
from profcore.comparisons.flops_latency import correlations, display_correlations
from profcore.data_sets import read_data_set
from profcore.errors import UserError
from profcore.experiments.block_choice import above, most_important, read_scores
from profcore.experiments.knobs import (
    CATALOGUE,
    MAX_GRID,
    Experiment,
    base_setting,
    build_settings,
    default_values,
    get_experiment,
    parse_values,
)
from profcore.experiments.motivation import MOTIVATION, plan_all
from profcore.export.result_files import result_files
from profcore.images.pictures import load_picture
from profcore.models.knobs import check_setting
from profcore.roofline.flops import with_flops
from profcore.spec.queries import DEFAULT_PROMPT
from profcore.spec.runs import RunSpec, Sweep
from profcore.spec.settings import Setting, parse_mask
from profcore.spec.stages import Clock, Knob, State
from profcore.storage.frames import spool_environment, spool_routing, spool_samples
from profcore.storage.spool import read_from

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.models.config import MolmoConfig
    from profcore.spec.queries import QuerySet

DEFAULT_PROFILING_OUTPUT = Path("results/profiling")
DEFAULT_MOTIVATION_OUTPUT = Path("results/motivation")
FLOPS_VS_LATENCY = "flops_vs_latency"


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
    parser.add_argument("--num-samples", type=int, help="timed inferences per setting (50; on real pictures 1 or 5)")
    parser.add_argument("--warmup", type=int, help="untimed inferences per setting (2; on real pictures 1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the visiting order (0)")


def _add_knobs(parser: argparse.ArgumentParser) -> None:
    """The values of the knob that is turned, and where the others stand meanwhile."""
    parser.add_argument("--max-grid-size", type=int, help="context_scaling: grids 1×1 to 1×N (12)")
    parser.add_argument("--top-k-values", nargs="+", metavar="K", help="moe_topk: values (1 2 4 8 16 32)")
    parser.add_argument(
        "--num-active-blocks", nargs="+", metavar="N", help="transformer_blocks_mask: first N, or masks"
    )
    text = "output tokens: values (1 5 10 … 200; 8 16 … 4096)"
    parser.add_argument("--max-new-tokens", nargs="+", metavar="N", help=text)
    parser.add_argument("--grid", type=int, default=1, help="image grid 1×N while another knob is turned (1)")
    parser.add_argument("--top-k", type=int, help="top-k while another knob is turned (the model's own)")
    text = "blocks that run while another knob is turned, such as 1011"
    parser.add_argument("--block-mask", metavar="MASK", help=text)


def _add_quality(parser: argparse.ArgumentParser) -> None:
    text = "scores that blocks are chosen by, not first N"
    parser.add_argument("--importance-file", type=Path, metavar="FILE", help=text)
    parser.add_argument(
        "--importance-threshold", type=float, nargs="+", metavar="T", help="blocks that score at least T"
    )
    parser.add_argument("--quality", action="store_true", help="record KL and accuracy of each setting on the data set")


def _given_values(experiment: Experiment, options: argparse.Namespace, config: MolmoConfig) -> Sequence[int | str]:
    """The knob's values as the options say, or its defaults."""
    if experiment.knob is Knob.VISION_TOKENS:
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


def _important_blocks(options: argparse.Namespace, config: MolmoConfig) -> list[int | str]:
    """Masks by a score file: of each number of blocks, or of each threshold."""
    if not options.importance_file:
        raise UserError("A threshold needs scores: name them with --importance-file FILE.")
    try:
        data = options.importance_file.read_bytes()
    except OSError as error:
        raise UserError(f"{options.importance_file} cannot be read: {error.strerror}.") from None
    blocks = config.n_layers
    scores = read_scores(data, str(options.importance_file), blocks)
    if options.importance_threshold:
        return [above(scores, threshold, blocks) for threshold in options.importance_threshold]
    least = max(blocks - len(scores), 1)
    if not options.num_active_blocks:
        return [most_important(scores, number, blocks) for number in range(least, blocks + 1)]
    given = parse_values(CATALOGUE["transformer_blocks_mask"], " ".join(options.num_active_blocks), config)
    return [value if isinstance(value, str) else most_important(scores, value, blocks) for value in given]


def _base(experiment: Experiment, options: argparse.Namespace, config: MolmoConfig) -> Setting:
    own = base_setting(experiment, config)
    return Setting(
        grid=(1, options.grid),
        top_k=own.top_k if options.top_k is None else options.top_k,
        block_mask=parse_mask(options.block_mask) if options.block_mask else own.block_mask,
        output_tokens=own.output_tokens,
    )


def run(options: argparse.Namespace) -> int:
    """Measure experiments and write their result files."""
    from profcore.storage.spool import SpoolWriter, spool_path
    from profcore.worker.shelf import ModelShelf

    spools = options.spool_only or check_database(database_of(options))
    target, shelf = target_of(options), ModelShelf()
    on_pictures = options.experiment in MOTIVATION
    queries = read_data_set(data_set_of(options)) if on_pictures or options.quality else None
    if not on_pictures:
        load_picture(picture_of(options.image))
    # Loaded before anything is written, so that a checkpoint or engine that cannot be used leaves no trace.
    config = shelf.get(target).model.config
    shelf.engine(target)
    if queries and on_pictures:
        sweeps = _motivation_sweeps(options, queries, config)
    else:
        sweeps = [replace(sweep, quality=queries) for sweep in _profiling_sweeps(options, config)]
    for sweep in sweeps:
        for setting in sweep.settings:
            check_setting(setting, config)
    if queries:
        for skipped in queries.skipped:
            print(f"Skipped {skipped.name}: {skipped.reason}", file=sys.stderr)
        print(f"{queries.name}: {len(queries.queries)} queries, {len(queries.skipped)} skipped", file=sys.stderr)
    code, paths = 0, []
    for sweep in sweeps:
        spec = RunSpec.new(target, sweep)
        path = spool_path(spools, spec.id)
        with SpoolWriter(path) as writer:
            writer.run(spec)
            state = measure(spec, writer, shelf)
        code = max(code, _report(options, spec, path, state))
        if state is State.STOPPED:
            return 130
        paths.append(path)
    if options.experiment == FLOPS_VS_LATENCY:
        _report_flops(options, paths)
    return code


def _profiling_sweeps(options: argparse.Namespace, config: MolmoConfig) -> list[Sweep]:
    names = list(CATALOGUE) if options.experiment == "all" else [options.experiment]
    sweeps = []
    for name in names:
        experiment = get_experiment("moe_topk" if name == flops_scaling.EXPERIMENT else name)
        values = _given_values(experiment, options, config)
        if name == flops_scaling.EXPERIMENT and not options.top_k_values:
            values = [value for value in flops_scaling.VALUES if value <= config.num_experts]
        if name == flops_scaling.EXPERIMENT and len(values) < 2:
            raise UserError("FLOPs scaling compares values of top-k: give two or more.")
        sweeps.append(
            Sweep(
                experiment=experiment.name,
                settings=build_settings(experiment, values, _base(experiment, options, config)),
                num_samples=50 if options.num_samples is None else options.num_samples,
                warmup=2 if options.warmup is None else options.warmup,
                seed=options.seed,
                clock=Clock(options.clock),
                picture=picture_of(options.image),
                prompt=options.prompt or DEFAULT_PROMPT,
            )
        )
    return sweeps


def _motivation_sweeps(options: argparse.Namespace, queries: QuerySet, config: MolmoConfig) -> list[Sweep]:
    lengths = " ".join(options.max_new_tokens or ())
    return plan_all(
        options.experiment,
        queries,
        config,
        num_samples=options.num_samples,
        output_tokens=[int(value) for value in parse_values(CATALOGUE["output_tokens"], lengths, config)],
        max_grid=MAX_GRID if options.max_grid_size is None else options.max_grid_size,
        stop_at_eos=options.stop_at_eos,
        warmup=1 if options.warmup is None else options.warmup,
        seed=options.seed,
        clock=Clock(options.clock),
    )


def _report(options: argparse.Namespace, spec: RunSpec, path: Path, state: State) -> int:
    """Write the result files, hand the spool to the store, and say what was done."""
    samples, name = spool_samples(path), spec.sweep.experiment
    if samples.empty:
        last = read_from(path).records[-1]
        print(f"profcore: {name} {state}: {last.get('reason')}", file=sys.stderr)
    else:
        environment = spool_environment(path)
        metadata = {"run": spec.to_dict(), "environment": environment, "state": str(state)}
        routed = spool_routing(path)
        for file, text in result_files(name, samples, metadata, routed).items():
            written = _write(options, name, file, text)
            print(f"{name}: {len(samples)} samples, {state}, in {written}")
        if options.experiment == flops_scaling.EXPERIMENT:
            rows = flops_scaling.flops_scaling(samples, flops_scaling.shape_of(environment)[0], routed)
            print_table(flops_scaling.display_scaling(rows))
            print("\n".join(flops_scaling.explain_scaling(rows)))
    deliver(options, path)
    return 0 if state is State.DONE else 1


def _report_flops(options: argparse.Namespace, paths: list[Path]) -> None:
    """Write and print what is derived from experiments 3 and 4 together."""
    frames = [spool_samples(path) for path in paths]
    # Settings of two runs are no longer told apart by their numbers.
    samples = pd.concat([frame.assign(setting=frame["setting"] + 10**6 * n) for n, frame in enumerate(frames)])
    samples = samples.reset_index(drop=True).assign(sample_id=range(len(samples)))
    environment = spool_environment(paths[-1])
    metadata = {"environment": environment, "derived_from": [path.stem for path in paths]}
    for file, text in result_files(FLOPS_VS_LATENCY, samples, metadata).items():
        print(f"{FLOPS_VS_LATENCY}: in {_write(options, FLOPS_VS_LATENCY, file, text)}")
    print_table(display_correlations(correlations(with_flops(samples, environment))))


def _write(options: argparse.Namespace, experiment: str, file: str, text: str) -> Path:
    default = DEFAULT_MOTIVATION_OUTPUT if experiment in MOTIVATION else DEFAULT_PROFILING_OUTPUT
    path = (options.output_dir or default) / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
