"""`bench`: measure what the measuring itself costs."""

from __future__ import annotations

import argparse

from profcore.bench.names import BENCHMARKS
from profcore.cli.command_parser import Commands, add_command
from profcore.cli.common import target_of
from profcore.cli.completion import with_completer, words
from profcore.cli.options import add_json, add_target


def register(commands: Commands) -> None:
    """Add `bench`."""
    parser = add_command(
        commands,
        "bench",
        "measure what the measuring itself costs",
        "--engine compiled",
        "--only load --device cpu --json",
    )
    width = max(map(len, BENCHMARKS))
    parser.epilog = "\n".join(
        [
            "benchmarks:",
            *(f"  {name.ljust(width)}  {text}" for name, text in BENCHMARKS.items()),
            "",
            parser.epilog or "",
        ]
    )
    add_target(parser)
    # Named above, where there is room for what each is.
    only = parser.add_argument(
        "--only",
        nargs="+",
        choices=BENCHMARKS,
        metavar="NAME",
        help="benchmarks to run, of those below (all that this machine has what it takes for)",
    )
    with_completer(only, words(*BENCHMARKS))
    add_json(parser)
    parser.set_defaults(command=bench)


def bench(options: argparse.Namespace) -> int:
    """Measure what the measuring itself costs."""
    from profcore.bench.report import run_benchmarks

    return run_benchmarks(target_of(options), options.only, options.json)
