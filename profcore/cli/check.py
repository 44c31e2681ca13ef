"""`check`: compare a model with expected outputs, an engine with eager."""

from __future__ import annotations

import argparse
from pathlib import Path

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.common import refuse_early, target_of
from profcore.cli.options import add_target
from profcore.errors import UserError


def register(commands: Commands) -> None:
    """Add `check`."""
    parser = add_command(
        commands,
        "check",
        "compare a model with expected outputs, an engine with eager",
        "--engine compiled",
        "--model DIR --expected expected.safetensors",
    )
    add_target(parser)
    parser.add_argument("--expected", type=Path, help="safetensors with in.* and out.*")
    parser.set_defaults(command=check)


def check(options: argparse.Namespace) -> int:
    """Compare a model with expected outputs, an engine with eager."""
    if options.expected is None and options.engine == "eager":
        raise UserError("Nothing to compare with: give --expected FILE, or --engine graph or compiled.")
    refuse_early(options)
    from profcore.inspectors import run_inspector
    from profcore.inspectors.base import Inspection
    from profcore.worker.shelf import ModelShelf

    shelf, target = ModelShelf(), target_of(options)
    shelf.engine(target)
    expected = str(options.expected) if options.expected else None
    arguments = {"engines": [target.engine], "expected": expected, "sanity": False}
    found = run_inspector("check", Inspection(shelf.get(target), target, arguments))
    for row in found["rows"]:
        verdict = "" if row["passed"] else f"  above {row['at_most']:.3g}"
        print(f"{row['what']:<48} {row['found']:.3e}{verdict}")
    return 0 if found["passed"] else 1
