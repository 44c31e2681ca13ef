"""`tokens`: how a picture of some size becomes tokens."""

from __future__ import annotations

import argparse
import json

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.options import add_json
from profcore.cli.values import whole_number
from profcore.spec.settings import MAX_CROPS


def register(commands: Commands) -> None:
    """Add `tokens`."""
    parser = add_command(commands, "tokens", "how a picture of some size becomes tokens", "--width 1280 --height 720")
    parser.add_argument("--width", type=whole_number, required=True)
    parser.add_argument("--height", type=whole_number, required=True)
    parser.add_argument("--max-crops", type=whole_number, default=MAX_CROPS)
    add_json(parser)
    parser.set_defaults(command=tokens)


def tokens(options: argparse.Namespace) -> int:
    """Print how a picture of some size becomes tokens."""
    from profcore.images import geometry, processing
    from profcore.models.config import PRESETS

    rows, columns = processing.select_tiling(options.height, options.width, options.max_crops)
    width, height = geometry.grid_size(rows, columns)
    processing.fitted_size(options.height, options.width, height, width)
    processing.fitted_size(options.height, options.width, geometry.CROP, geometry.CROP)
    tokens = processing.image_tokens(rows, columns, processing.PLAIN_IDS)
    model_tokens = processing.image_tokens(rows, columns, PRESETS["molmoe-1b"].image_token_ids)
    result = {
        "tiling": list(tokens.tiling),
        "num_crops": tokens.num_crops,
        "num_vision_tokens": tokens.num_vision_tokens,
        "num_image_tokens": tokens.num_image_tokens,
        "patch_index_sha256": processing.sha256_int32(tokens.patch_index),
        "tokens_sha256": processing.sha256_int32(tokens.tokens),
        "special_token_ids": processing.PLAIN_IDS,
        "molmoe_tokens_sha256": processing.sha256_int32(model_tokens.tokens),
    }
    if options.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:<22} {value}")
    return 0
