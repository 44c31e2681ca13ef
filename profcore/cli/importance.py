"""`importance`: score the blocks, what each adds or what is lost without it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.common import data_set_of, refuse_early, target_of
from profcore.cli.options import add_data_set, add_json, add_target
from profcore.cli.tables import print_table
from profcore.cli.values import check_output_file
from profcore.data_sets import read_data_set
from profcore.experiments.block_choice import METHODS
from profcore.inspectors.report import importance_lines, importance_table
from profcore.spec.text import counted


def register(commands: Commands) -> None:
    """Add `importance`."""
    parser = add_command(
        commands,
        "importance",
        "score the blocks: what each adds, or what is lost without it",
        "kl --num-pictures 8 --output scores.json",
    )
    methods = "; ".join(f"{name}: {text}" for name, text in METHODS.items())
    parser.add_argument("method", nargs="?", choices=list(METHODS), default="influence", help=methods)
    add_target(parser)
    add_data_set(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help="write a score file")
    add_json(parser)
    parser.set_defaults(command=importance)


def importance(options: argparse.Namespace) -> int:
    """Score the blocks of a model loaded for it, and print or write the scores."""
    from dataclasses import asdict, replace

    from profcore.experiments.block_choice import measured_scores, write_scores

    check_output_file(options.output)
    # One question of it, to see whether there are any.
    read_data_set(replace(data_set_of(options), limit=1))
    refuse_early(options)
    from profcore.worker.shelf import ModelShelf
    from profcore.worker.tools import run_tool

    data_set = asdict(data_set_of(options))
    arguments = {"name": "importance", "method": options.method, "data_set": data_set}
    target = target_of(options)
    found = run_tool("inspect", ModelShelf(), target, arguments, lambda text: print(f"{text}…", file=sys.stderr))
    if options.output:
        options.output.write_text(write_scores(measured_scores(found)), encoding="utf-8")
        print(
            f"Scores of {counted(len(found['scores']), 'block')} by {options.method}, in {options.output}",
            file=sys.stderr,
        )
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    for line in importance_lines(found):
        print(line)
    print_table(importance_table(found))
    return 0
