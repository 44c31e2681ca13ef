"""`bench`: measure what the measuring itself costs."""

from __future__ import annotations

import argparse

from profcore.cli.common import target_of
from profcore.cli.options import add_json, add_target


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `bench`."""
    parser = commands.add_parser("bench", help="measure what the measuring itself costs")
    add_target(parser)
    parser.add_argument("--only", nargs="+", help="benchmarks to run (all that this machine has what it takes for)")
    add_json(parser)
    parser.set_defaults(command=bench)


def bench(options: argparse.Namespace) -> int:
    """Measure what the measuring itself costs."""
    from profcore.bench.report import run_benchmarks

    return run_benchmarks(target_of(options), options.only, options.json)
