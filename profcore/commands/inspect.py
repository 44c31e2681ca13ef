"""`inspect`: what the inspection tools say, as tables or JSON."""

from __future__ import annotations

import argparse
import json
import sys

from profcore.commands.shared import picture_of, print_table, target_of
from profcore.inspections import importance_lines, importance_table, lines, tables


def inspect(options: argparse.Namespace) -> int:
    """Run one tool on a model loaded for it; exits 1 where the tool found something wrong."""
    from profcore.images.pictures import load_picture
    from profcore.worker.shelf import ModelShelf
    from profcore.worker.tools import run_tool

    picture, target = picture_of(options.image), target_of(options)
    load_picture(picture)
    arguments = {"name": options.name, "picture": picture.to_dict(), "prompt": options.prompt}
    if options.name == "topk" and options.top_k_values:
        arguments["values"] = whole_numbers(" ".join(options.top_k_values))
    if options.name == "check":
        arguments["expected"] = str(options.expected) if options.expected else None
    found = run_tool("inspect", ModelShelf(), target, arguments, lambda text: print(f"{text}…", file=sys.stderr))
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        for line in lines(options.name, found):
            print(line)
        for table in tables(options.name, found).values():
            print_table(table)
    return 0 if found.get("passed", True) else 1


def importance(options: argparse.Namespace) -> int:
    """Score the blocks of a model loaded for it, and print or write the scores."""
    from dataclasses import asdict

    from profcore.commands.run import data_set_of
    from profcore.experiments.block_choice import measured_scores, write_scores
    from profcore.worker.shelf import ModelShelf
    from profcore.worker.tools import run_tool

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


def whole_numbers(text: str) -> list[int]:
    """Whole numbers as a person writes them.

    Raises:
        UserError: A part is none.
    """
    from profcore.experiments.knobs import CATALOGUE, parse_values
    from profcore.models.config import PRESETS

    return [int(value) for value in parse_values(CATALOGUE["moe_topk"], text, PRESETS["tiny"])]
