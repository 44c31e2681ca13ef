"""`estimate`: a picture's size, its tokens by the model's own rule, and the time to first token at that size."""

from __future__ import annotations

import argparse
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.common import database_of, fetch_unknown
from profcore.cli.options import add_database, add_json
from profcore.cli.tables import print_table
from profcore.cli.values import model_name, whole_number
from profcore.formats.text_files import json_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profcore.storage.store import Store


def register(commands: Commands) -> None:
    """Add `estimate`."""
    parser = add_command(
        commands,
        "estimate",
        "the time to first token of a picture of some size, from what was measured",
        "--width 1024 --height 768",
        "--model qwen3-vl-8b --width 1920 --height 1080 --json",
    )
    parser.add_argument("--model", type=model_name, default="molmoe-1b", help="as `run` takes it (molmoe-1b)")
    parser.add_argument("--width", type=whole_number, required=True, help="of the picture, in pixels")
    parser.add_argument("--height", type=whole_number, required=True, help="of the picture, in pixels")
    add_json(parser)
    add_database(parser)
    parser.set_defaults(command=estimate)


def estimate(options: argparse.Namespace) -> int:
    """Print a picture's tokens and what is known of its time to first token."""
    from profcore.comparisons.before_quoting import quoting_lines, run_loader
    from profcore.comparisons.size_to_latency import estimate_all, load_curves
    from profcore.comparisons.size_words import (
        caveats,
        display_parts,
        estimate_sentence,
        layout_sentence,
        missing_sentence,
        named_runs,
    )
    from profcore.models.config import model_shape
    from profcore.models.picture import picture_layout

    fetch_unknown(options.model)
    shape = model_shape(options.model)
    layout = picture_layout(shape, options.width, options.height)
    with _runs(options) as stores:
        each_store = [(store, load_curves(store, options.model, shape)) for store in stores]
        curves = [curve for _, of_store in each_store for curve in of_store]
        found = estimate_all(curves, layout)
        named = named_runs(found)
        cautions = [
            line
            for store, of_store in each_store
            for line in quoting_lines(
                run_loader(store),
                {curve.run["id"]: named[curve.run["id"]] for curve in of_store if curve.run["id"] in named},
            )
        ]
    missing = missing_sentence(options.model, shape, curves, found)
    if options.json:
        said = {
            "model": options.model,
            "width": options.width,
            "height": options.height,
            "layout": vars(layout),
            "estimates": [each.to_dict() for each in found],
            "cautions": cautions,
            "missing": missing,
        }
        print(json_text(said, indent=2))
        return 0
    print(layout_sentence(options.model, shape, options.width, options.height, layout))
    if missing:
        print(missing)
        return 0
    print("In milliseconds:")
    print_table(display_parts(found))
    print("\n".join([*map(estimate_sentence, found), *caveats(found), *cautions]))
    return 0


@contextmanager
def _runs(options: argparse.Namespace) -> Iterator[list[Store]]:
    """The stored runs and, where the database has none of them and nobody removed any, the sample results."""
    from profcore.cli.reading import reading
    from profcore.storage.store import Store, spool_directory

    with ExitStack() as opened:
        stores, database = [], database_of(options)
        if options.db or database.exists() or spool_directory(database).is_dir():
            stores.append(opened.enter_context(reading(options)))
        if not any(store.knows_shipped() for store in stores):
            samples = opened.enter_context(Store(":memory:"))
            samples.take_in_shipped()
            stores.append(samples)
        yield stores
