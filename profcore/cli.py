"""The command line: `python -m profcore …`, the same code as the dashboard's for a machine without a browser."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from profcore.commands import engines, model, results
from profcore.commands import inspect as inspect_command
from profcore.commands import run as run_command
from profcore.comparisons.flops_scaling import EXPERIMENT as FLOPS_SCALING
from profcore.data_sets import KINDS
from profcore.engines.names import ENGINES
from profcore.errors import UserError
from profcore.experiments.block_choice import METHODS
from profcore.experiments.knobs import CATALOGUE
from profcore.experiments.motivation import MOTIVATION
from profcore.inspectors.names import INSPECTORS
from profcore.spec.stages import Clock

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command; exits 0 when done, 1 when something measured or checked failed, 2 on bad input."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # The published scripts spell options with underscores; both are taken.
    words = [word.replace("_", "-") if word.startswith("--") and "=" not in word else word for word in words]
    options = _parser().parse_args(words)
    try:
        code = options.command(options)
    except UserError as error:
        print(f"profcore: {error}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("profcore: stopped.", file=sys.stderr)
        code = 130
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m profcore", description="Measure a MolmoE-1B under its four knobs.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="measure an experiment, or all of them")
    run.add_argument(
        "experiment",
        choices=[*CATALOGUE, FLOPS_SCALING, *MOTIVATION, "all"],
        metavar="EXPERIMENT",
        help=f"one of {', '.join(CATALOGUE)}, or all of these four; {FLOPS_SCALING}; "
        f"or, on real pictures, one of {', '.join(MOTIVATION)}",
    )
    _add_target(run)
    run.add_argument("--clock", choices=[str(clock) for clock in Clock], default="events", help="how time is taken")
    run.add_argument("--num-samples", type=int, help="timed inferences per setting (50; on real pictures 1 or 5)")
    run.add_argument("--warmup", type=int, help="untimed inferences per setting (2; on real pictures 1)")
    run.add_argument("--seed", type=int, default=0, help="seed of the visiting order (0)")
    run.add_argument("--max-grid-size", type=int, help="context_scaling: grids 1×1 to 1×N (12)")
    run.add_argument("--top-k-values", nargs="+", metavar="K", help="moe_topk: values (1 2 4 8 16 32)")
    run.add_argument("--num-active-blocks", nargs="+", metavar="N", help="transformer_blocks_mask: first N, or masks")
    run.add_argument(
        "--max-new-tokens", nargs="+", metavar="N", help="output tokens: values (1 5 10 … 200; 8 16 … 4096)"
    )
    run.add_argument("--grid", type=int, default=1, help="image grid 1×N while another knob is turned (1)")
    run.add_argument("--top-k", type=int, help="top-k while another knob is turned (the model's own)")
    run.add_argument("--block-mask", metavar="MASK", help="blocks that run while another knob is turned, such as 1011")
    run.add_argument("--image", help="a picture file, a photograph's name, or a colour as #rrggbb")
    run.add_argument("--prompt", help="the question put to the model")
    run.add_argument(
        "--importance-file", type=Path, metavar="FILE", help="scores that blocks are chosen by, not first N"
    )
    run.add_argument("--importance-threshold", type=float, nargs="+", metavar="T", help="blocks that score at least T")
    run.add_argument("--quality", action="store_true", help="record KL and accuracy of each setting on the data set")
    _add_data_set(run)
    run.add_argument(
        "--stop-at-eos", action="store_true", help="on real pictures: end answers at the end-of-text token"
    )
    run.add_argument("--output-dir", type=Path, help="for result files (results/profiling, results/motivation)")
    _add_database(run)
    run.add_argument("--spool-only", type=Path, metavar="DIR", help="write spools here and open no database")
    run.set_defaults(command=run_command.run)

    take_in = commands.add_parser("import", help="take in spools and profiling results")
    take_in.add_argument("files", nargs="+", type=Path, metavar="FILE")
    _add_database(take_in)
    take_in.set_defaults(command=results.take_in)

    runs = commands.add_parser("runs", help="list the runs in a database")
    _add_database(runs)
    runs.add_argument("--json", action="store_true", help="as JSON")
    runs.set_defaults(command=results.runs)

    check = commands.add_parser("check", help="compare a model with expected outputs, an engine with eager")
    _add_target(check)
    check.add_argument("--expected", type=Path, help="safetensors with in.* and out.*")
    check.set_defaults(command=model.check)

    inspect = commands.add_parser("inspect", help="look at the live model: what it is, and whether the knobs turn")
    inspect.add_argument(
        "name",
        choices=list(INSPECTORS),
        metavar="NAME",
        help="; ".join(f"{name}: {each.text}" for name, each in INSPECTORS.items()),
    )
    _add_target(inspect)
    inspect.add_argument("--image", help="a picture file, a photograph's name, or a colour as #rrggbb")
    inspect.add_argument("--prompt", help="the question put to the model")
    inspect.add_argument("--top-k-values", nargs="+", metavar="K", help="topk: values (1 2 4 8 16 32)")
    inspect.add_argument("--expected", type=Path, help="check: safetensors with in.* and out.*")
    inspect.add_argument("--json", action="store_true", help="as JSON")
    inspect.set_defaults(command=inspect_command.inspect)

    importance = commands.add_parser("importance", help="score the blocks: what each adds, or what is lost without it")
    importance.add_argument("method", nargs="?", choices=list(METHODS), default="influence", help=_methods_help())
    _add_target(importance)
    _add_data_set(importance)
    importance.add_argument("--output", type=Path, metavar="FILE", help="write a score file")
    importance.add_argument("--json", action="store_true", help="as JSON")
    importance.set_defaults(command=inspect_command.importance)

    tokens = commands.add_parser("tokens", help="how a picture of some size becomes tokens")
    tokens.add_argument("--width", type=int, required=True)
    tokens.add_argument("--height", type=int, required=True)
    tokens.add_argument("--max-crops", type=int, default=12)
    tokens.add_argument("--json", action="store_true", help="as JSON")
    tokens.set_defaults(command=model.tokens)

    ceilings = commands.add_parser("ceilings", help="measure what the device can do at most")
    ceilings.add_argument("--device", help="cpu or cuda:N (the first GPU, or the CPU)")
    ceilings.add_argument("--dtype", default="auto", help="float32, bfloat16, float16 or auto")
    ceilings.add_argument("--json", action="store_true", help="as JSON")
    ceilings.set_defaults(command=model.ceilings)

    why = commands.add_parser("why", help="profile one setting: where its time goes, and what binds it")
    _add_target(why)
    why.add_argument("--grid", type=int, default=1, help="image grid 1×N (1)")
    why.add_argument("--top-k", type=int, help="top-k (the model's own)")
    why.add_argument("--block-mask", metavar="MASK", help="blocks that run, such as 1011 (all)")
    why.add_argument("--output-tokens", type=int, default=9, help="at most 9 are looked at (9)")
    why.add_argument("--image", help="a picture file, a photograph's name, or a colour as #rrggbb")
    why.add_argument("--prompt", help="the question put to the model")
    why.add_argument("--trace", type=Path, metavar="FILE", help="write a Chrome trace, gzipped")
    why.add_argument("--json", action="store_true", help="as JSON")
    why.set_defaults(command=model.why)

    compare = commands.add_parser("compare-engines", help="the same sweep under each engine, and its sensitivities")
    compare.add_argument("experiment", nargs="?", choices=[*CATALOGUE, "all"], default="moe_topk")
    _add_target(compare, engine=False)
    compare.add_argument("--engines", nargs="+", choices=list(ENGINES), help="those that the device can run")
    compare.add_argument("--num-samples", type=int, default=20, help="timed inferences per setting (20)")
    compare.add_argument("--warmup", type=int, default=2, help="untimed inferences per setting (2)")
    compare.add_argument("--seed", type=int, default=0, help="seed of the visiting order (0)")
    compare.add_argument("--image", help="a picture file, a photograph's name, or a colour as #rrggbb")
    compare.add_argument("--prompt", help="the question put to the model")
    compare.add_argument("--json", action="store_true", help="as JSON")
    _add_database(compare)
    compare.add_argument("--spool-only", type=Path, metavar="DIR", help="write spools here and open no database")
    compare.set_defaults(command=engines.compare_engines)

    plot = commands.add_parser("plot", help="write the figures of result files, ours or published")
    plot.add_argument(
        "experiment",
        choices=[*CATALOGUE, FLOPS_SCALING, *MOTIVATION, "all"],
        metavar="EXPERIMENT",
        help=f"one of {', '.join([*CATALOGUE, FLOPS_SCALING, *MOTIVATION])}, or all",
    )
    plot.add_argument("--results-dir", type=Path, default=Path("results"), help="where result files lie (results)")
    plot.add_argument("--json-file", type=Path, metavar="FILE", help="one result file instead")
    plot.add_argument("--format", nargs="+", choices=["png", "svg", "pdf"], default=["png"], help="(png, 300 DPI)")
    plot.set_defaults(command=_plot)

    bench = commands.add_parser("bench", help="measure what the measuring itself costs")
    _add_target(bench)
    bench.add_argument("--only", nargs="+", help="benchmarks to run (all that this machine has what it takes for)")
    bench.add_argument("--json", action="store_true", help="as JSON")
    bench.set_defaults(command=model.bench)
    return parser


def _methods_help() -> str:
    return "; ".join(f"{name}: {text}" for name, text in METHODS.items())


def _add_target(parser: argparse.ArgumentParser, engine: bool = True) -> None:
    model = "tiny, molmoe-1b, a checkpoint directory or a hub name"
    parser.add_argument("--model", help=f"{model} (molmoe-1b on a GPU, tiny on a CPU)")
    parser.add_argument("--device", help="cpu or cuda:N (the first GPU, or the CPU)")
    parser.add_argument("--dtype", default="auto", help="float32, bfloat16, float16 or auto")
    parser.add_argument("--experts", default="auto", help="eager, batched_mm, grouped_mm or auto")
    if engine:
        parser.add_argument("--engine", choices=list(ENGINES), default="eager", help="how the model is executed")


def _add_data_set(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("real pictures", "what the Motivation experiments measure")
    kinds = "; ".join(f"{kind}: {text}" for kind, text in KINDS.items())
    group.add_argument("--data-set", choices=list(KINDS), default="photographs", help=f"{kinds} (photographs)")
    group.add_argument("--data", default="", metavar="PATH", help="the folder of pictures, or the table")
    group.add_argument("--questions", default="", metavar="FILE", help="VQA's questions, or a CSV or JSONL")
    group.add_argument("--annotations", default="", metavar="FILE", help="VQA's annotations")
    group.add_argument("--split", default="", help="which split of a table that holds several")
    group.add_argument("--num-pictures", type=int, metavar="N", help="queries to take, drawn at random (all)")


def _add_database(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--db", type=Path, help="the database (data/profcore.duckdb)")


def _plot(options: argparse.Namespace) -> int:
    # Figures need what a machine that only measures has not.
    try:
        from profcore.commands.plot import plot
    except ImportError as error:
        raise UserError(f"{error.name} is not installed here: draw figures where requirements.txt is.") from None
    return plot(options)
