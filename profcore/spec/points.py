"""Which settings of a joint run are one point: pictures within one tier of crops are. Standard library only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

OF_POINT = ("tier", "top_k", "active_blocks", "block_mask", "output_tokens")
"""What the settings of one point have alike, by the database's columns."""


def is_picture(row: Mapping[Any, Any]) -> bool:
    """Whether a setting is one picture of a tier; what is not known of a row is None."""
    return row["tier"] is not None and (row["image_id"] is not None or row["query_id"] is not None)


def point_key(row: Mapping[Any, Any]) -> Any:
    """What tells the points of a run apart, from a setting's columns and its number `setting`."""
    return tuple(row[name] for name in OF_POINT) if is_picture(row) else row["setting"]
