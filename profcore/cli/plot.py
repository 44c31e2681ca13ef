"""`plot`: write the figures of result files, ours or published."""

from __future__ import annotations

import argparse
from pathlib import Path

from profcore.cli.command_parser import Commands, add_command
from profcore.comparisons.flops_scaling import EXPERIMENT as FLOPS_SCALING
from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE
from profcore.experiments.motivation import MOTIVATION


def register(commands: Commands) -> None:
    """Add `plot`."""
    parser = add_command(
        commands,
        "plot",
        "write the figures of result files, ours or published",
        "all --results-dir results --format png pdf",
    )
    names = [*CATALOGUE, FLOPS_SCALING, *MOTIVATION]
    parser.add_argument(
        "experiment", choices=[*names, "all"], metavar="EXPERIMENT", help=f"one of {', '.join(names)}, or all"
    )
    parser.add_argument("--results-dir", type=Path, default=Path("results"), help="where result files lie (results)")
    parser.add_argument("--json-file", type=Path, metavar="FILE", help="one result file instead")
    parser.add_argument("--format", nargs="+", choices=["png", "svg", "pdf"], default=["png"], help="(png, 300 DPI)")
    parser.set_defaults(command=plot)


def plot(options: argparse.Namespace) -> int:
    """Write the figures of result files into `figures/` beside each."""
    try:
        from profcore.cli.figures import draw
    except ImportError as error:
        raise UserError(f"{error.name} is not installed here: draw figures where requirements.txt is.") from None
    return draw(options)
