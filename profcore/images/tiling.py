"""How a picture tiles, Motivation experiment 6: crops, overlap, redundant patches, tokens under each bound; pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from profcore.images.geometry import (
    CROP_PATCHES,
    MARGIN_PATCHES,
    PATCH,
    PATCHES_PER_TOKEN,
    WINDOW_PATCHES,
    grid_size,
)
from profcore.images.processing import PLAIN_IDS, fitted_size, image_tokens, select_tiling

MOST_CROPS = 24
"""Up to which bound tokens are listed; the model itself was trained with 12."""


@dataclass(frozen=True)
class Tiling:
    """A picture's crops, in pixels of the picture itself.

    Attributes:
        width, height: The picture's size.
        grid: Rows and columns of crops.
        crops: A row for each: `crop` (from 1), `row`, `column`, `left`, `top`, `right`, `bottom`; edges that lie in the
            padding are outside of the picture.
        overlaps: Where crops lie on each other: `left`, `top`, `right`, `bottom`.
        num_vision_tokens: Tokens of the grid and the global view.
        num_crops: Crops that the vision encoder sees, the global view included.
        patches: Patches that the vision encoder sees.
        redundant: Patches of them that another crop of the grid shows too and whose tokens are dropped.
        padded: Patches of them that show nothing of the picture.
    """

    width: int
    height: int
    grid: tuple[int, int]
    crops: pd.DataFrame
    overlaps: pd.DataFrame
    num_vision_tokens: int
    num_crops: int
    patches: int
    redundant: int
    padded: int


def tile(width: int, height: int, max_crops: int) -> Tiling:
    """How a picture of this size tiles by the model's own rule.

    Raises:
        ImageError: The size or the bound is not possible.
    """
    rows, columns = select_tiling(height, width, max_crops)
    grid_width, grid_height = grid_size(rows, columns)
    new_height, new_width = fitted_size(height, width, grid_height, grid_width)
    left, top = (grid_width - new_width) // 2, (grid_height - new_height) // 2
    across, down = width / new_width, height / new_height

    def box(x0: int, y0: int, x1: int, y1: int) -> dict[str, float]:
        """A box of patches of the grid, in pixels of the picture."""
        return {
            "left": (x0 * PATCH - left) * across,
            "top": (y0 * PATCH - top) * down,
            "right": (x1 * PATCH - left) * across,
            "bottom": (y1 * PATCH - top) * down,
        }

    step, size = WINDOW_PATCHES, CROP_PATCHES
    crops = [
        {"crop": row * columns + column + 1, "row": row + 1, "column": column + 1}
        | box(column * step, row * step, column * step + size, row * step + size)
        for row in range(rows)
        for column in range(columns)
    ]
    tall, wide = grid_height // PATCH, grid_width // PATCH
    seams = 2 * MARGIN_PATCHES
    overlaps = [box(column * step, 0, column * step + seams, tall) for column in range(1, columns)]
    overlaps += [box(0, row * step, wide, row * step + seams) for row in range(1, rows)]
    tokens = image_tokens(rows, columns, PLAIN_IDS)
    patches = tokens.num_crops * size**2
    return Tiling(
        width=width,
        height=height,
        grid=(rows, columns),
        crops=pd.DataFrame(crops),
        overlaps=pd.DataFrame(overlaps, columns=["left", "top", "right", "bottom"], dtype=float),
        num_vision_tokens=tokens.num_vision_tokens,
        num_crops=tokens.num_crops,
        patches=patches,
        redundant=patches - PATCHES_PER_TOKEN * tokens.num_vision_tokens,
        padded=_padded(rows, columns, (top, new_height), (left, new_width)),
    )


def _padded(rows: int, columns: int, vertical: tuple[int, int], horizontal: tuple[int, int]) -> int:
    """Patches of the grid's crops without a pixel of the picture; those of the global view are not counted."""

    def shown(crops: int, start: int, length: int) -> np.ndarray:
        """For each crop along one axis, how many of its patches show some of the picture."""
        first, last = start // PATCH, -(-(start + length) // PATCH)
        places = np.arange(CROP_PATCHES)[None] + WINDOW_PATCHES * np.arange(crops)[:, None]
        return ((places >= first) & (places < last)).sum(axis=1)

    seen = np.outer(shown(rows, *vertical), shown(columns, *horizontal)).sum()
    return int(rows * columns * CROP_PATCHES**2 - seen)


def tokens_by_bound(width: int, height: int, most: int = MOST_CROPS) -> pd.DataFrame:
    """What each bound on the number of crops comes to: `max_crops`, `grid`, `num_crops`, `num_vision_tokens`.

    Raises:
        ImageError: As `tile`.
    """
    rows = []
    for bound in range(1, most + 1):
        grid = select_tiling(height, width, bound)
        tokens = image_tokens(*grid, PLAIN_IDS)
        rows.append([bound, f"{grid[0]}×{grid[1]}", tokens.num_crops, tokens.num_vision_tokens])
    return pd.DataFrame(rows, columns=["max_crops", "grid", "num_crops", "num_vision_tokens"])
