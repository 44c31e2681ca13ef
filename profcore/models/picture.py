"""What a model makes of a picture's width and height, whichever model it is; no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore.images.geometry import PATCHES_PER_CROP, grid_size, grid_tokens
from profcore.images.processing import fitted_size, select_tiling
from profcore.models.config import MolmoConfig
from profcore.models.families.token_rules import Layout
from profcore.models.families.vision_tokens import RULE_WORDS, layout, possible_grids

if TYPE_CHECKING:
    from profcore.models.families.shape import FamilyShape

MOLMO_WORDS = "crops that overlap, as few as enlarge the picture least, and a global view"


def picture_layout(shape: MolmoConfig | FamilyShape, width: int, height: int) -> Layout:
    """What a model's own rule makes of a picture.

    Raises:
        UserError: The picture is of no possible size.
    """
    if not isinstance(shape, MolmoConfig):
        return layout(shape, width, height)
    rows, columns = select_tiling(height, width, shape.max_crops)
    wide, tall = grid_size(rows, columns)
    # Refuses what would be shrunk to nothing.
    fitted_size(height, width, tall, wide)
    views = rows * columns + 1
    return Layout(views, rows, columns, wide, tall, grid_tokens(rows, columns), views * PATCHES_PER_CROP)


def rule_words(shape: MolmoConfig | FamilyShape) -> str:
    """The rule in a few words."""
    return MOLMO_WORDS if isinstance(shape, MolmoConfig) else RULE_WORDS[shape.kind.rule]


def grids_of(shape: MolmoConfig | FamilyShape) -> tuple[tuple[int, int], ...]:
    """The grids of one row that a model can be given, from the smallest."""
    if isinstance(shape, MolmoConfig):
        return tuple((1, columns) for columns in range(1, shape.max_crops + 1))
    return possible_grids(shape)
