"""What a model makes of a picture's width and height, whichever model it is; no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore.images.geometry import PATCHES_PER_CROP, grid_size, grid_tokens
from profcore.images.processing import fitted_size, select_tiling
from profcore.models.families.shape import FamilyShape
from profcore.models.families.token_rules import Layout
from profcore.models.families.vision_tokens import RULE_WORDS, grid_layout, layout, possible_grids

if TYPE_CHECKING:
    from profcore.models.shape import Shape

MOLMO_WORDS = "crops that overlap, as few as enlarge the picture least, and a global view"


def picture_layout(shape: Shape, width: int, height: int) -> Layout:
    """What a model's own rule makes of a picture.

    Raises:
        UserError: The picture is of no possible size.
    """
    if isinstance(shape, FamilyShape):
        return layout(shape, width, height)
    rows, columns = select_tiling(height, width, shape.max_crops)
    found = grid_layout_of(shape, (rows, columns))
    # Refuses what would be shrunk to nothing.
    fitted_size(height, width, found.height, found.width)
    return found


def grid_layout_of(shape: Shape, grid: tuple[int, int]) -> Layout:
    """What a setting's grid means to a model.

    Raises:
        UserError: The model cannot be given that grid.
    """
    if isinstance(shape, FamilyShape):
        return grid_layout(shape, grid)
    rows, columns = grid
    wide, tall = grid_size(rows, columns)
    views = rows * columns + 1
    return Layout(views, rows, columns, wide, tall, grid_tokens(rows, columns), views * PATCHES_PER_CROP)


def rule_words(shape: Shape) -> str:
    """The rule in a few words."""
    return RULE_WORDS[shape.kind.rule] if isinstance(shape, FamilyShape) else MOLMO_WORDS


def grids_of(shape: Shape) -> tuple[tuple[int, int], ...]:
    """The grids of one row that a model can be given, from the smallest."""
    if isinstance(shape, FamilyShape):
        return possible_grids(shape)
    return tuple((1, columns) for columns in range(1, shape.max_crops + 1))
