"""`importance`: score the blocks, what each adds or what is lost without it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from profcore.cli.common import data_set_of, print_table, target_of
from profcore.cli.options import add_data_set, add_json, add_target
from profcore.cli.values import check_output_file
from profcore.experiments.block_choice import METHODS
from profcore.inspectors.report import importance_lines, importance_table


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `importance`."""
    parser = commands.add_parser("importance", help="score the blocks: what each adds, or what is lost without it")
    methods = "; ".join(f"{name}: {text}" for name, text in METHODS.items())
    parser.add_argument("method", nargs="?", choices=list(METHODS), default="influence", help=methods)
    add_target(parser)
    add_data_set(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help="write a score file")
    add_json(parser)
    parser.set_defaults(command=importance)


def importance(options: argparse.Namespace) -> int:
    """Score the blocks of a model loaded for it, and print or write the scores."""
    from dataclasses import asdict

    from profcore.experiments.block_choice import measured_scores, write_scores
    from profcore.worker.shelf import ModelShelf
    from profcore.worker.tools import run_tool

    check_output_file(options.output)
    data_set = asdict(data_set_of(options))
    arguments = {"name": "importance", "method": options.method, "data_set": data_set}
    target = target_of(options)
    found = run_tool("inspect", ModelShelf(), target, arguments, lambda text: print(f"{text}…", file=sys.stderr))
    if options.output:
        options.output.write_text(write_scores(measured_scores(found)), encoding="utf-8")
        print(f"Scores of {len(found['scores'])} blocks by {options.method}, in {options.output}", file=sys.stderr)
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    for line in importance_lines(found):
        print(line)
    print_table(importance_table(found))
    return 0
