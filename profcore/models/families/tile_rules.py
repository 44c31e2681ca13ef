"""Rules of models that cut a picture in tiles and show an overview beside them; no torch.

Source: the image processors of transformers 5.24, as in `token_rules`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

from profcore.errors import ModelError
from profcore.models.config_fields import shown
from profcore.models.families.token_rules import MOST_TILES, Layout, best_resolution, number, processor, vision


def anyres(config: Mapping[str, Any], width: int, height: int) -> Layout:
    """Tiles of the best of some resolutions, cut to the picture's proportions, a newline for each row, an overview.

    Source: transformers, `_get_number_of_features` of LLaVA-NeXT and LLaVA-OneVision.
    """
    fields = vision(config)
    side, patch = number(fields, "image_size"), number(fields, "patch_size")
    along = side // patch
    tall, wide = best_resolution(width, height, pinpoints(config))
    rows, columns = tall // side, wide // side
    down, across = along * rows, along * columns
    if not down or not across:
        raise ModelError(
            f"Tiles of {side} pixels and patches of {patch} leave nothing of a picture of {wide} × {tall}."
        )
    if width / height > across / down:
        down -= (down - int(round(height * (across / width), 7))) // 2 * 2
    else:
        across -= (across - int(round(width * (down / height), 7))) // 2 * 2
    down, across = _bounded(config, down, across, along)
    tokens = down * across + down + along**2
    views = rows * columns + 1
    return Layout(views, rows, columns, wide, tall, tokens, views * along**2)


def pinpoints(config: Mapping[str, Any]) -> list[tuple[int, int]]:
    """The resolutions (height, width) that a picture may be brought to.

    Raises:
        ModelError: They are none.
    """
    given = config.get("image_grid_pinpoints")
    if not isinstance(given, list | tuple) or not given:
        raise ModelError("The configuration has no image_grid_pinpoints: the sizes that a picture may be brought to.")
    try:
        return [(int(tall), int(wide)) for tall, wide in given]
    except (TypeError, ValueError):
        raise ModelError("The configuration's image_grid_pinpoints are no pairs of whole numbers.") from None


def _bounded(config: Mapping[str, Any], down: int, across: int, along: int) -> tuple[int, int]:
    """Features of the tiles after the bound on them, where the model has one (`anyres_max_9`)."""
    bound = str(config.get("vision_aspect_ratio") or "").rpartition("_max_")[2]
    if not bound.isdigit():
        return down, across
    ratio = math.sqrt(down * across / (int(bound) * along**2))
    return (int(down // ratio), int(across // ratio)) if ratio > 1.1 else (down, across)


def tiles(config: Mapping[str, Any], width: int, height: int) -> Layout:
    """Tiles of the arrangement nearest to the picture's proportions, an overview where there are several.

    Source: transformers, `get_optimal_tiled_canvas` of GOT-OCR2, which InternVL and Aya Vision use.
    """
    fields = vision(config)
    side, patch = number(fields, "image_size"), number(fields, "patch_size")
    if config.get("downsample_ratio") is not None:
        tokens = int((side // patch) ** 2 * _ratio(config) ** 2)
    else:
        tokens = (side // (patch * number(config, "downsample_factor"))) ** 2
    least, most = number(processor(config), "min_patches"), number(processor(config), "max_patches", most=MOST_TILES)
    columns, rows = _canvas(width, height, side, least, most)
    views = rows * columns + (rows * columns > 1)
    return Layout(views, rows, columns, columns * side, rows * side, views * tokens, views * (side // patch) ** 2)


def _ratio(config: Mapping[str, Any]) -> float:
    """The share of a side's patches that are left once neighbours are merged.

    Raises:
        ModelError: It is none.
    """
    value = config["downsample_ratio"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise ModelError(f"The configuration has downsample_ratio={shown(value)}, which is no share above 0, up to 1.")
    return float(value)


def _canvas(width: int, height: int, side: int, least: int, most: int) -> tuple[int, int]:
    """Columns and rows; of arrangements equally near the one of more tiles, unless they outgrow the picture twice."""
    possible = [
        (columns, rows)
        for columns, rows in itertools.product(range(1, most + 1), repeat=2)
        if least <= columns * rows <= most
    ]
    best, nearest = (1, 1), math.inf
    for columns, rows in sorted(possible, key=lambda each: each[0] * each[1]):
        difference = abs(width / height - columns / rows)
        if difference < nearest:
            best, nearest = (columns, rows), difference
        elif difference == nearest and width * height > 0.5 * side * side * columns * rows:
            best = (columns, rows)
    return best


def idefics(config: Mapping[str, Any], width: int, height: int) -> Layout:
    """The picture is always brought to some tiles along its longest edge, small ones too, and shown whole beside them.

    Source: transformers, `get_number_of_image_patches` of Idefics3 and SmolVLM.
    """
    fields = vision(config)
    side, patch = number(fields, "image_size"), number(fields, "patch_size")
    tokens = (side // patch) ** 2 // number(config, "scale_factor") ** 2
    longest = number(processor(config), "longest_edge_tiles", most=MOST_TILES) * side
    aspect = width / height
    if width >= height:
        wide, tall = longest, int(longest / aspect)
        tall += tall % 2
    else:
        wide, tall = int(longest * aspect), longest
        wide += wide % 2
    columns, rows = math.ceil(max(wide, 1) / side), math.ceil(max(tall, 1) / side)
    views = rows * columns + (rows * columns > 1)
    return Layout(views, rows, columns, columns * side, rows * side, views * tokens, views * (side // patch) ** 2)


def molmo2(config: Mapping[str, Any], width: int, height: int) -> Layout:
    """Crops that overlap, as MolmoE's, pooled two by two, and an overview.

    Source: transformers, `get_image_grid_and_crops` of Molmo2.
    """
    fields, given = vision(config), processor(config)
    side, patch, most = (
        number(fields, "image_size"),
        number(fields, "patch_size"),
        number(given, "max_crops", most=MOST_TILES),
    )
    left, right = margins(config)
    pool = number(given, "pooling_size")
    along = side // patch
    window, edges = (along - left - right) * patch, (left + right) * patch
    rows, columns = _tiling(height - edges, width - edges, window, most)
    down, across = rows * window + edges, columns * window + edges
    overview = math.ceil(along / pool) ** 2
    tokens = math.ceil(down // patch / pool) * math.ceil(across // patch / pool) + overview
    views = rows * columns + 1
    return Layout(views, rows, columns, across, down, tokens, views * along**2)


def margins(config: Mapping[str, Any]) -> tuple[int, int]:
    """Patches at either end of a crop that its neighbours show too.

    Raises:
        ModelError: They are none, or leave nothing of a crop.
    """
    given = processor(config).get("overlap_margins")
    fields = vision(config)
    along = number(fields, "image_size") // number(fields, "patch_size")
    if not isinstance(given, list | tuple) or len(given) != 2 or not all(type(each) is int for each in given):
        raise ModelError("The image processor's overlap_margins are no two whole numbers.")
    left, right = given
    if min(left, right) < 0 or left + right >= along:
        raise ModelError(f"Overlap margins of {left} and {right} patches leave nothing of a crop of {along}.")
    return left, right


def _tiling(height: int, width: int, window: int, most: int) -> tuple[int, int]:
    """Rows and columns that enlarge the picture least, or shrink it least where none is large enough."""
    possible = [
        (rows, columns) for rows, columns in itertools.product(range(1, most + 1), repeat=2) if rows * columns <= most
    ]
    possible.sort(key=lambda each: (each[0] * each[1], each[0]))

    def scale(rows: int, columns: int) -> float:
        return min(rows * window / height if height else math.inf, columns * window / width if width else math.inf)

    scales = [scale(*each) for each in possible]
    if all(each < 1 for each in scales):
        return possible[scales.index(max(scales))]
    enlarging = [each if each >= 1 else 1e10 for each in scales]
    return possible[enlarging.index(min(enlarging))]
