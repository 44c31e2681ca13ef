"""What a model makes of a picture of some size, and of a setting of the knob *vision tokens*; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from profcore.errors import ModelError
from profcore.models.families.family import UNIT_TOKENS
from profcore.models.families.tile_rules import anyres, idefics, margins, molmo2, pinpoints, tiles
from profcore.models.families.token_rules import Layout, Rule, checked, fixed, number, pixtral, resize, soft, vision

if TYPE_CHECKING:
    from profcore.models.families.shape import FamilyShape

RULES: dict[str, Rule] = {
    "resize": resize,
    "pixtral": pixtral,
    "fixed": fixed,
    "soft": soft,
    "anyres": anyres,
    "tiles": tiles,
    "idefics": idefics,
    "molmo2": molmo2,
}
"""How a picture becomes tokens, by the name that a family gives it."""

RULE_WORDS = {
    "resize": "a grid of patches as large as the picture, its sides rounded to whole merged patches",
    "pixtral": "as many merged patches as cover the picture",
    "fixed": "always as many, whatever the picture's size",
    "soft": "a budget of tokens, filled as far as the picture's proportions allow",
    "anyres": "tiles of the resolution that suits the picture best, and an overview",
    "tiles": "tiles in the arrangement nearest to the picture's proportions, and an overview",
    "idefics": "always as many tiles along the longest edge, small pictures enlarged, and an overview",
    "molmo2": "crops that overlap, and an overview",
}
"""Each rule in a few words, for people."""

SOFT_UNIT = 70
"""Soft tokens of a unit of Gemma 4, which knows budgets of 70, 140, 280, 560 and 1120."""


def layout(shape: FamilyShape, width: int, height: int) -> Layout:
    """What a model makes of a picture.

    Raises:
        ModelError: The picture or the configuration cannot be used.
    """
    if width < 1 or height < 1:
        raise ModelError(f"A picture of {width} × {height} has no pixels: give a width and a height of at least 1.")
    return checked(RULES[shape.kind.rule](shape.config, width, height), width, height)


def vision_tokens(shape: FamilyShape, width: int, height: int) -> int:
    """The tokens of a picture of this size.

    Raises:
        ModelError: As `layout`.
    """
    return layout(shape, width, height).tokens


def grid_layout(shape: FamilyShape, grid: tuple[int, int]) -> Layout:
    """What a setting of the knob means to a model: so many of its units, in rows and columns.

    A unit is a tile where pictures are cut in tiles; 12 × 12 merged patches, 144 tokens as MolmoE's crop has, where
    they are a grid of patches; 70 soft tokens where they fill a budget. Idefics3, SmolVLM and Gemma 4 are given the
    option of their processor that comes to it.

    Raises:
        ModelError: The model cannot be given that many units, since its processor would make another number of them.
    """
    if shape.kind.rule == "fixed" and grid != (1, 1):
        raise ModelError(f"{shape.vision_reason} Its grid is 1×1.")
    found, is_it = _at_grid(shape, grid)
    if not is_it:
        raise ModelError(
            f"{shape.name} cannot be given {grid[0]}×{grid[1]} units: its processor makes {found.tokens} tokens of a "
            f"picture of that size. {_possible(shape)}"
        )
    return found


def _at_grid(shape: FamilyShape, grid: tuple[int, int]) -> tuple[Layout, bool]:
    """What becomes of the picture that a grid stands for, and whether it is that grid.

    Raises:
        ModelError: There is no such picture.
    """
    config, rule = shape.config, shape.kind.rule
    if rule == "fixed":
        return layout(shape, 1, 1), grid == (1, 1)
    config = {**config, "image_processor": {**config.get("image_processor", {}), **_option(shape, grid)}}
    picture = _picture(shape, grid)
    found = checked(RULES[rule](config, *picture), *picture)
    return found, _is_grid(rule, config, found, grid)


def picture_of_grid(shape: FamilyShape, grid: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a picture that comes to a grid of units exactly.

    Raises:
        ModelError: As `grid_layout`.
    """
    found = grid_layout(shape, grid)
    return found.width, found.height


def possible_grids(shape: FamilyShape, most: int | None = None) -> tuple[tuple[int, int], ...]:
    """The grids of one row that a model can be given, from the smallest.

    Args:
        shape: The model's.
        most: The most units; the family's unless given.
    """
    found = []
    for columns in range(1, (shape.max_crops if most is None else most) + 1):
        try:
            found += [(1, columns)] if _at_grid(shape, (1, columns))[1] else []
        except ModelError:
            # No processor has an option for so many.
            continue
    return tuple(found)


def _possible(shape: FamilyShape) -> str:
    names = ", ".join(f"{rows}×{columns}" for rows, columns in possible_grids(shape))
    return f"Of one row it takes {names}." if names else "It takes no grid of one row."


def _option(shape: FamilyShape, grid: tuple[int, int]) -> dict[str, int]:
    """What a processor must be told so that a picture comes to a grid, where it is told anything."""
    rows, columns = grid
    if shape.kind.rule == "idefics":
        return {"longest_edge_tiles": max(rows, columns)}
    if shape.kind.rule == "soft":
        units = rows * columns
        if units & (units - 1):
            raise ModelError(
                f"{shape.name} cannot be given {units} units of {SOFT_UNIT} soft tokens: its budgets are 1, 2, 4 and 8."
            )
        return {"max_soft_tokens": SOFT_UNIT * units}
    return {}


def _picture(shape: FamilyShape, grid: tuple[int, int]) -> tuple[int, int]:
    """Width and height of the picture that a grid stands for."""
    rows, columns = grid
    config, rule = shape.config, shape.kind.rule
    fields = vision(config)
    patch = number(fields, "patch_size")
    if rule in ("resize", "pixtral"):
        merge = number(fields if rule == "resize" else config, "spatial_merge_size")
        side = UNIT_TOKENS * patch * merge
        return columns * side, rows * side
    if rule == "soft":
        # Sides in this proportion; the budget sets their length.
        return columns * 100 * patch, rows * 100 * patch
    side = number(fields, "image_size")
    if rule == "molmo2":
        edges = sum(margins(config)) * patch
        window = side - edges
        return columns * window + edges, rows * window + edges
    return columns * side, rows * side


def _is_grid(rule: str, config: Mapping[str, Any], found: Layout, grid: tuple[int, int]) -> bool:
    """Whether a picture came to the grid that was asked for."""
    rows, columns = grid
    if rule in ("resize", "pixtral"):
        return found.tokens == rows * columns * UNIT_TOKENS**2
    if rule == "soft":
        return True
    if rule == "anyres":
        return (found.height, found.width) in pinpoints(config) and (found.rows, found.columns) == grid
    return (found.rows, found.columns) == grid
