"""How a picture is cut for a model of a family, in numbers. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """What a picture becomes.

    Attributes:
        width, height: Pixels that it is resized to as a whole; an overview besides is of one tile's size.
        rows, columns: Of patches before they are merged (a grid of patches), or of tiles without the overview.
        views: Pictures that the vision encoder sees: tiles and the overview; 1 for a grid of patches.
        tokens: Vision tokens that the language model sees.
    """

    width: int
    height: int
    rows: int
    columns: int
    views: int
    tokens: int
