"""`report`: runs as a file to hand over."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.options import add_database, add_run
from profcore.cli.reading import load_named_run, reading
from profcore.errors import UserError


def register(commands: Commands) -> None:
    """Add `report`."""
    parser = add_command(
        commands,
        "report",
        "a run, or several compared, as a file to hand over",
        "RUN RUN --output report.html",
        "RUN --format latex",
    )
    add_run(parser, "runs", "RUN", nargs="+")
    parser.add_argument("--output", type=Path, metavar="FILE", help="(report.html; tables are printed)")
    kinds = "html: a page with everything; markdown, latex: the tables"
    parser.add_argument("--format", choices=["html", "markdown", "latex"], default="html", help=kinds)
    add_database(parser)
    parser.set_defaults(command=report)


def report(options: argparse.Namespace) -> int:
    """Write a report of runs."""
    try:
        from profcore.comparisons.between import load_series, spreads_of
        from profcore.export.report import report_html, report_latex, report_markdown
    except ImportError as error:
        raise UserError(f"{error.name} is not installed here: make reports where requirements.txt is.") from None
    make = {"html": report_html, "markdown": report_markdown, "latex": report_latex}[options.format]
    with reading(options) as store:
        runs = [load_named_run(store, name) for name in options.runs]
        text = make(runs, spreads_of(load_series(store)) if len(runs) > 1 else None)
    output = options.output or (Path("report.html") if options.format == "html" else None)
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")
        print(output)
    return 0
