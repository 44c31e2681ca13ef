"""`inspect`: what the inspection tools say, as tables or JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from profcore.cli.common import picture_of, print_table, target_of
from profcore.cli.options import add_json, add_picture, add_target
from profcore.inspectors.names import INSPECTORS
from profcore.inspectors.report import lines, tables


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `inspect`."""
    parser = commands.add_parser("inspect", help="look at the live model: what it is, and whether the knobs turn")
    tools = "; ".join(f"{name}: {each.text}" for name, each in INSPECTORS.items())
    parser.add_argument("name", choices=list(INSPECTORS), metavar="NAME", help=tools)
    add_target(parser)
    add_picture(parser)
    parser.add_argument("--top-k-values", nargs="+", metavar="K", help="topk: values (1 2 4 8 16 32)")
    parser.add_argument("--expected", type=Path, help="check: safetensors with in.* and out.*")
    add_json(parser)
    parser.set_defaults(command=inspect)


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


def whole_numbers(text: str) -> list[int]:
    """Whole numbers as a person writes them.

    Raises:
        UserError: A part is none.
    """
    from profcore.experiments.knobs import CATALOGUE, parse_values
    from profcore.models.config import PRESETS

    return [int(value) for value in parse_values(CATALOGUE["moe_topk"], text, PRESETS["tiny"])]
