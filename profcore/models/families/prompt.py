"""The prompt of a family's model: places for image tokens between ordinary ones. Needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore.models.families.token_rules import merged, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.models.families.shape import FamilyShape
    from profcore.models.families.token_rules import Layout

_BEGINS = ("vision_start_token_id", "image_start_token_id", "boi_token_id", "boi_token_index")
_ENDS = ("vision_end_token_id", "image_end_token_id", "eoi_token_id", "eoi_token_index")


def build_ids(shape: FamilyShape, layout: Layout, question: Sequence[int]) -> list[int]:
    """Token ids: the picture's places with the marks around them that the configuration knows, then the question.

    What a processor writes between tiles or rows stands as an ordinary token each, so that a prompt is as long as its.

    Args:
        shape: The model's.
        layout: How the picture is cut.
        question: Its token ids.
    """
    special = special_ids(shape)
    plain = next(id for id in range(1, shape.embedding_size) if id not in special)
    ids = [*_first(shape, _BEGINS), *_places(shape, layout, plain), *_first(shape, _ENDS)]
    return [*ids, *(plain if id in special else id for id in question)]


def special_ids(shape: FamilyShape) -> set[int]:
    """Every id that the configuration gives a meaning of its own."""
    names = ("token_id", "token_index", "patch_id")
    return {id for name, id in shape.config.items() if name.endswith(names) and isinstance(id, int)}


def _first(shape: FamilyShape, names: tuple[str, ...]) -> list[int]:
    found = [shape.config[name] for name in names if isinstance(shape.config.get(name), int)]
    return [id for id in found[:1] if 0 <= id < shape.input_size]


def _places(shape: FamilyShape, layout: Layout, plain: int) -> list[int]:
    image, kind = shape.image_token_id, shape.kind
    before, after = [plain] * kind.view_marks, [plain] * kind.row_marks
    return [id for number in _groups(shape, layout) for id in (*before, *[image] * number, *after)]


def _groups(shape: FamilyShape, layout: Layout) -> list[int]:
    """How many image tokens stand together: those of a tile or of a row, where something is written between them."""
    kind = shape.kind
    if kind.rule == "molmo2":
        patch, pool = number(shape.vision, "patch_size"), number(shape.config["image_processor"], "pooling_size")
        along = -(-number(shape.vision, "image_size") // patch // pool)
        rows, columns = (-(-side // patch // pool) for side in (layout.height, layout.width))
        return [along] * along + [columns] * rows
    groups = 1
    if kind.view_marks:
        groups = layout.views
    elif kind.row_marks:
        groups = layout.rows // merged(shape.config)
    return [layout.tokens // groups] * groups
