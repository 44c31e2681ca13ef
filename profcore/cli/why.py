"""`why`: profile one setting, and print where its time goes."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.common import picture_of, refuse_early, target_of
from profcore.cli.options import add_json, add_picture, add_target
from profcore.cli.tables import print_table
from profcore.cli.values import check_output_file, whole_number
from profcore.spec.settings import Setting, parse_mask

if TYPE_CHECKING:
    from profcore.models.shape import Shape


def register(commands: Commands) -> None:
    """Add `why`."""
    parser = add_command(
        commands,
        "why",
        "profile one setting: where its time goes, and what binds it",
        "--engine graph --top-k 8 --trace trace.json.gz",
    )
    add_target(parser)
    parser.add_argument("--grid", type=whole_number, default=1, help="image grid 1×N (1)")
    parser.add_argument("--top-k", type=whole_number, help="top-k (the model's own)")
    parser.add_argument("--block-mask", metavar="MASK", help="blocks that run, such as 1011 (all)")
    parser.add_argument("--output-tokens", type=whole_number, default=9, help="at most 9 are looked at (9)")
    add_picture(parser)
    parser.add_argument("--trace", type=Path, metavar="FILE", help="write a Chrome trace, gzipped")
    add_json(parser)
    parser.set_defaults(command=why)


def why(options: argparse.Namespace) -> int:
    """Profile one setting, and print where its time goes."""
    from profcore.engines.base import PreparationError
    from profcore.images.pictures import load_picture
    from profcore.models.context import check_asked_of
    from profcore.models.knobs import check_profiled

    check_output_file(options.trace)
    picture = picture_of(options.image)
    load_picture(picture)

    def check(config: Shape, model: str) -> None:
        check_profiled(config)
        check_asked_of(_setting(options, config), options.prompt, config, model)

    refuse_early(options, check)
    from profcore.worker.shelf import ModelShelf
    from profcore.worker.tools import run_tool

    shelf, target = ModelShelf(), target_of(options)
    setting = _setting(options, shelf.get(target).model.config)
    arguments = {
        "setting": setting.to_dict(),
        "picture": picture.to_dict(),
        "prompt": options.prompt,
        "trace": str(options.trace) if options.trace else None,
    }
    try:
        found = run_tool("profile", shelf, target, arguments, lambda text: print(f"{text}…", file=sys.stderr))
    except PreparationError as error:
        print(f"profcore: it could not be compiled and captured ({error}).", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    from profcore.results.profiled import partly
    from profcore.results.tables import display_profile_kernels, display_profile_parts, display_profile_stages

    print(found["verdict"])
    if part := partly(found, setting.output_tokens):
        print(part)
    print_table(display_profile_stages(found))
    print_table(display_profile_parts(found))
    print_table(display_profile_kernels(found).head(12))
    return 0


def _setting(options: argparse.Namespace, config: Shape) -> Setting:
    """The setting that the options say, of a model of this shape."""
    return Setting(
        grid=(1, options.grid),
        top_k=config.top_k if options.top_k is None else options.top_k,
        block_mask=parse_mask(options.block_mask) if options.block_mask else (True,) * config.n_layers,
        output_tokens=options.output_tokens,
    )
