"""`bench`: measure what the measuring itself costs."""

from __future__ import annotations

import argparse

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.common import target_of
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
    add_target(parser)
    parser.add_argument("--only", nargs="+", help="benchmarks to run (all that this machine has what it takes for)")
    add_json(parser)
    parser.set_defaults(command=bench)


def bench(options: argparse.Namespace) -> int:
    """Measure what the measuring itself costs."""
    from profcore.bench.report import run_benchmarks

    return run_benchmarks(target_of(options), options.only, options.json)
