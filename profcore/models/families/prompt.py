"""The prompt of a family's model: places for image tokens between ordinary ones. Needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    names = ("token_id", "token_index")
    return {id for name, id in shape.config.items() if name.endswith(names) and isinstance(id, int)}


def _first(shape: FamilyShape, names: tuple[str, ...]) -> list[int]:
    found = [shape.config[name] for name in names if isinstance(shape.config.get(name), int)]
    return [id for id in found[:1] if id < shape.embedding_size]


def _places(shape: FamilyShape, layout: Layout, plain: int) -> list[int]:
    image, kind = shape.image_token_id, shape.kind
    groups = layout.views if kind.view_marks else layout.rows // _merge(shape) if kind.row_marks else 1
    each = layout.tokens // groups
    return ([plain] * kind.view_marks + [image] * each + [plain] * kind.row_marks) * groups


def _merge(shape: FamilyShape) -> int:
    return int(shape.config.get("spatial_merge_size") or 1)
