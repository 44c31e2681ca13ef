"""From a picture's size to its vision tokens, one rule for each way in which models cut pictures; no torch.

Each rule takes the whole configuration of a model and a picture's width and height, and says what its processor makes
of the picture. Limits of the processor stand under `image_processor`, a name of our own in a configuration.

Source: the image processors of transformers 5.24, which tests compare them with where these can be made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from profcore.errors import ModelError
from profcore.models.config_fields import shown

_LARGEST = 2**40
MOST_TILES = 256
"""Of a picture, along a side or in all: every arrangement of them is looked at."""


@dataclass(frozen=True)
class Layout:
    """What a model makes of a picture.

    Attributes:
        views: Pictures that the vision encoder sees: tiles and an overview, or one.
        rows, columns: Of a grid of patches the patches before any are merged; of tiles the tiles without the overview.
        width, height: Pixels of the picture as it is resized, all tiles together.
        tokens: Places in the prompt that the projector's output fills.
        patches: Patches that the vision encoder sees, of all views.
    """

    views: int
    rows: int
    columns: int
    width: int
    height: int
    tokens: int
    patches: int


MOST_TOKENS = 2**20
"""Of one picture: far beyond what any model is given, and few enough to be listed."""


def checked(found: Layout, width: int, height: int) -> Layout:
    """What a rule made of a picture of some size, once it is known to be something.

    Raises:
        ModelError: It leaves nothing of the picture, or makes more of it than any prompt holds.
    """
    if min(found.tokens, found.views, found.patches) < 1:
        raise ModelError(
            f"The configuration's sizes leave nothing of a picture of {width} × {height}: compare its image_size with "
            "its patch_size, and with what is merged."
        )
    if found.tokens > MOST_TOKENS:
        raise ModelError(
            f"By the configuration a picture of {width} × {height} has {found.tokens:,} vision tokens, and no model "
            f"takes more than {MOST_TOKENS:,}."
        )
    return found


Rule = Callable[[Mapping[str, Any], int, int], Layout]


def number(fields: Mapping[str, Any], name: str, least: int = 1, most: int = _LARGEST) -> int:
    """A field as a whole number; the first of a list of equal ones.

    Raises:
        ModelError: It is none.
    """
    value = fields.get(name)
    if isinstance(value, list | tuple) and value and len(set(map(str, value))) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        range_ = f"from {least} on" if most == _LARGEST else f"from {least} to {most}"
        raise ModelError(f"The configuration has {name}={shown(value)}, which is no whole number {range_}.")
    return value


def vision(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The vision encoder's fields."""
    fields = config.get("vision_config")
    if not isinstance(fields, Mapping):
        raise ModelError("The configuration has no vision_config: a model without an image encoder takes no picture.")
    return fields


def processor(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The image processor's limits."""
    fields = config.get("image_processor")
    return fields if isinstance(fields, Mapping) else {}


def _limit(config: Mapping[str, Any], *names: str) -> int:
    """A limit of the processor, whichever way it is written."""
    given = processor(config)
    size = given.get("size")
    for fields in (given, size if isinstance(size, Mapping) else {}):
        for name in names:
            if fields.get(name) is not None:
                return number(fields, name)
    raise ModelError(f"The image processor's {names[0]} is not known: give a preprocessor_config.json that has it.")


def resize(config: Mapping[str, Any], width: int, height: int) -> Layout:
    """A grid of patches as large as the picture, each side a multiple of merged patches, within limits of pixels.

    Source: transformers, `smart_resize` of Qwen2-VL and of GLM-4V, which counts the frames of a video too.
    """
    patch, merge = number(vision(config), "patch_size"), number(vision(config), "spatial_merge_size")
    factor = patch * merge
    asked = f"{width} × {height}"
    frames = number(processor(config), "frames") if "frames" in processor(config) else 1
    least, most = _limit(config, "min_pixels", "shortest_edge"), _limit(config, "max_pixels", "longest_edge")
    if frames > 1 and min(width, height) < factor:
        scale = max(factor / height, factor / width)
        width, height = int(width * scale), int(height * scale)
    if max(width, height) > 200 * min(width, height):
        raise ModelError(f"A picture of {asked} is too narrow: one side may be 200 times the other at most.")
    tall, wide = round(height / factor) * factor, round(width / factor) * factor
    if frames * tall * wide > most:
        beta = math.sqrt(frames * height * width / most)
        tall = max(factor, math.floor(height / beta / factor) * factor)
        wide = max(factor, math.floor(width / beta / factor) * factor)
    elif frames * tall * wide < least:
        beta = math.sqrt(least / (frames * height * width))
        tall, wide = math.ceil(height * beta / factor) * factor, math.ceil(width * beta / factor) * factor
    rows, columns = tall // patch, wide // patch
    return Layout(1, rows, columns, wide, tall, rows * columns // merge**2, rows * columns)


def pixtral(config: Mapping[str, Any], width: int, height: int) -> Layout:
    """As many merged patches as cover the picture, its longest edge bounded.

    Source: transformers, `get_resize_output_image_size` of Pixtral. The breaks that end rows are words of the prompt,
    no output of the projector.
    """
    fields = vision(config)
    patch = number(fields, "patch_size")
    merge = merged(config)
    given = processor(config)
    longest = _limit(config, "longest_edge") if given else number(fields, "image_size")
    ratio = max(height, width) / longest
    if ratio > 1:
        width, height = math.floor(width / ratio), math.floor(height / ratio)
    across, down = ((max(side, 1) - 1) // (patch * merge) + 1 for side in (width, height))
    wide, tall = across * patch * merge, down * patch * merge
    return Layout(1, tall // patch, wide // patch, wide, tall, across * down, across * down * merge**2)


def merged(config: Mapping[str, Any]) -> int:
    """Patches along the side of a merged one of Mistral 3's; 1 where its configuration merges none."""
    return number(config, "spatial_merge_size") if config.get("spatial_merge_size") is not None else 1


def fixed(config: Mapping[str, Any], width: int, height: int) -> Layout:
    """Always as many: the picture is resized to the one size of the vision encoder."""
    fields = vision(config)
    side, patch = number(fields, "image_size"), number(fields, "patch_size")
    patches = (side // patch) ** 2
    tokens = patches
    queries = config.get("projector_patch_to_query_dict")
    if isinstance(queries, Mapping):
        found = {str(key): value for key, value in queries.items()}
        if str(patches) not in found:
            raise ModelError(f"The projector has no queries for {patches} patches, only for {', '.join(found)}.")
        tokens = number(found, str(patches))
    elif config.get("mm_tokens_per_image") is not None:
        tokens = number(config, "mm_tokens_per_image")
    elif config.get("vision_feature_select_strategy") == "full" and fields.get("model_type") == "clip_vision_model":
        tokens = patches + 1
    return Layout(1, 1, 1, side, side, tokens, patches)


def soft(config: Mapping[str, Any], width: int, height: int) -> Layout:
    """A budget of tokens, filled as far as the picture's proportions allow, whatever its size.

    Source: transformers, `get_aspect_ratio_preserving_size` of Gemma 4.
    """
    fields = vision(config)
    patch, pool = number(fields, "patch_size"), number(fields, "pooling_kernel_size")
    budget = number(processor(config), "max_soft_tokens")
    factor = math.sqrt(budget * pool**2 * patch**2 / (width * height))
    side = patch * pool
    tall, wide = math.floor(factor * height / side) * side, math.floor(factor * width / side) * side
    if not tall and not wide:
        raise ModelError(f"A picture of {width} × {height} has no token within a budget of {budget}.")
    if not tall:
        tall, wide = side, min(width // height, budget) * side
    elif not wide:
        tall, wide = min(height // width, budget) * side, side
    rows, columns = tall // patch, wide // patch
    return Layout(1, rows, columns, wide, tall, rows * columns // pool**2, rows * columns)


def best_resolution(width: int, height: int, possible: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Of some (height, width), the one that keeps most of a picture's pixels and wastes the fewest.

    Source: transformers, `select_best_resolution`.
    """
    best, kept, wasted = (0, 0), 0, math.inf
    for tall, wide in possible:
        scale = min(wide / width, tall / height)
        effective = min(int(width * scale) * int(height * scale), width * height)
        waste = tall * wide - effective
        if effective > kept or (effective == kept and waste < wasted):
            best, kept, wasted = (tall, wide), effective, waste
    return best
