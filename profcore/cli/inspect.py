"""`inspect`: what the inspection tools say, as tables or JSON."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.common import picture_of, refuse_early, target_of
from profcore.cli.options import add_json, add_picture, add_target
from profcore.cli.tables import print_table
from profcore.inspectors.names import INSPECTORS, check_known
from profcore.inspectors.report import lines, tables

if TYPE_CHECKING:
    from profcore.models.shape import Shape


def register(commands: Commands) -> None:
    """Add `inspect`."""
    parser = add_command(
        commands,
        "inspect",
        "look at the live model: what it is, and whether the knobs turn",
        "topk --image coffee --top-k-values 1 8",
    )
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
    from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings
    from profcore.images.pictures import load_picture
    from profcore.models.context import check_asked_of

    picture = picture_of(options.image)
    load_picture(picture)
    arguments = {"name": options.name, "picture": picture.to_dict(), "prompt": options.prompt}
    values = whole_numbers(" ".join(options.top_k_values)) if options.name == "topk" and options.top_k_values else []
    if values:
        arguments["values"] = values

    def check_values(config: Shape, model: str) -> None:
        check_known(options.name, config)
        experiment = CATALOGUE["moe_topk"]
        base = replace(base_setting(experiment, config), output_tokens=1)
        for setting in build_settings(experiment, values, base) or (base,):
            check_asked_of(setting, options.prompt, config, model)

    refuse_early(options, check_values)
    from profcore.worker.shelf import ModelShelf
    from profcore.worker.tools import run_tool

    target = target_of(options)
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
