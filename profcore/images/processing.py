"""Image processing as Molmo was trained with: tiling, overlapping crops, padding masks and image tokens.

What becomes of the pixels themselves is in `profcore.models.pixels`, on the device; this needs no torch.

Source: allenai/molmo, `MultiModalPreprocessor` with crop mode "overlap-and-resize-c2".
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from profcore.errors import ImageError
from profcore.images.geometry import (
    CROP,
    CROP_PATCHES,
    CROP_TOKENS,
    MARGIN_PATCHES,
    MARGINS,
    PATCH,
    POOL,
    WINDOW,
    WINDOW_PATCHES,
    grid_size,
)

PLAIN_IDS = {"<im_start>": 1001, "<im_end>": 1002, "<im_patch>": 1003, "<im_col>": 1004, "<|image|>": 1005}
"""Ids that belong to no vocabulary, for comparing token sequences between checkpoints."""

DROPPED = -100
"""Index of a projector output that no token takes: its patch lies in another crop's window."""


@dataclass(frozen=True)
class ImageTokens:
    """How a picture becomes tokens.

    Attributes:
        tiling: Rows and columns of crops; the global view comes on top.
        tokens: (num_image_tokens,) int32, the token sequence with its special tokens.
        patch_index: (num_crops, 144) int32, where in `tokens` each projector output goes, DROPPED for nowhere.
            The global view comes first.
    """

    tiling: tuple[int, int]
    tokens: np.ndarray
    patch_index: np.ndarray

    @property
    def num_crops(self) -> int:
        """Crops the vision encoder sees, the global view included."""
        return int(self.patch_index.shape[0])

    @property
    def num_vision_tokens(self) -> int:
        """Tokens that carry image features."""
        return int((self.patch_index >= 0).sum())

    @property
    def num_image_tokens(self) -> int:
        """All tokens the picture takes, separators included."""
        return int(self.tokens.size)


@dataclass(frozen=True)
class Placement:
    """Where a resized picture lies in a frame, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def inside(self) -> tuple[slice, slice]:
        """Its rows and columns of the frame."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def select_tiling(height: int, width: int, max_crops: int, min_crops: int = 1) -> tuple[int, int]:
    """Rows and columns of crops for a picture of this size.

    Of all grids with `min_crops` to `max_crops` crops, the one that enlarges the picture least, or, where every one
    shrinks it, the one that shrinks it least; smaller grids win ties.

    Raises:
        ImageError: A size or the number of crops is not positive.
    """
    if height < 1 or width < 1:
        raise ImageError(f"A picture of {width}×{height} pixels is empty: both sides need at least 1.")
    if max_crops < 1:
        raise ImageError(f"{max_crops} crops cannot hold a picture: allow at least 1.")
    if not 1 <= min_crops <= max_crops:
        raise ImageError(f"No grid has {min_crops} to {max_crops} crops: give a range from 1 on.")
    grids = sorted(
        (
            (rows, columns)
            for rows in range(1, max_crops + 1)
            for columns in range(1, max_crops // rows + 1)
            if rows * columns >= min_crops
        ),
        key=lambda grid: (grid[0] * grid[1], grid[0]),
    )
    sizes = np.array(grids, dtype=np.float32) * WINDOW
    with np.errstate(divide="ignore"):
        scale = (sizes / np.array([height - MARGINS, width - MARGINS], dtype=np.float32)).min(axis=1)
    best = scale.argmax() if (scale < 1).all() else np.where(scale < 1, np.inf, scale).argmin()
    return grids[int(best)]


def image_tokens(rows: int, columns: int, ids: dict[str, int]) -> ImageTokens:
    """The token sequence of a grid of crops and its global view.

    Args:
        rows: Rows of crops.
        columns: Columns of crops.
        ids: Ids of '<im_start>', '<im_end>', '<im_patch>' and '<im_col>'.
    """
    grid_rows = (rows * WINDOW_PATCHES + 2 * MARGIN_PATCHES) // POOL
    grid_columns = (columns * WINDOW_PATCHES + 2 * MARGIN_PATCHES) // POOL

    def sequence(height: int, width: int) -> list[int]:
        row = [ids["<im_patch>"]] * width + [ids["<im_col>"]]
        return [ids["<im_start>"], *(row * height), ids["<im_end>"]]

    tokens = np.array(sequence(CROP_TOKENS, CROP_TOKENS) + sequence(grid_rows, grid_columns), dtype=np.int32)
    places = np.flatnonzero(tokens == ids["<im_patch>"]).astype(np.int32)
    index = np.full((1 + rows * columns, CROP_TOKENS, CROP_TOKENS), DROPPED, dtype=np.int32)
    index[0] = places[: CROP_TOKENS**2].reshape(CROP_TOKENS, CROP_TOKENS)
    grid = places[CROP_TOKENS**2 :].reshape(grid_rows, grid_columns)
    step = WINDOW_PATCHES // POOL
    for row in range(rows):
        top, bottom = _kept(row, rows)
        for column in range(columns):
            left, right = _kept(column, columns)
            index[1 + row * columns + column, top:bottom, left:right] = grid[
                row * step + top : row * step + bottom, column * step + left : column * step + right
            ]
    return ImageTokens((rows, columns), tokens, index.reshape(1 + rows * columns, -1))


def _kept(place: int, places: int) -> tuple[int, int]:
    """Which of a crop's 12 token rows (or columns) are its own: margins count only at the picture's edge."""
    margin = MARGIN_PATCHES // POOL
    return (0 if place == 0 else margin), (CROP_TOKENS if place == places - 1 else CROP_TOKENS - margin)


def crop_windows(rows: int, columns: int) -> list[tuple[slice, slice]]:
    """Rows and columns of pixels that each crop of a grid sees, row by row."""
    return [
        (slice(row * WINDOW, row * WINDOW + CROP), slice(column * WINDOW, column * WINDOW + CROP))
        for row in range(rows)
        for column in range(columns)
    ]


def padding_masks(height: int, width: int, rows: int, columns: int) -> np.ndarray:
    """The share of each patch that is picture, and no padding.

    As published, the crops' masks come first and a row of -1 for the global view last: the model was trained so.

    Shapes:
        (rows * columns + 1, 576) float32.

    Raises:
        ImageError: As `fitted_size`.
    """
    grid_width, grid_height = grid_size(rows, columns)
    inside = placement(height, width, grid_height, grid_width).inside
    down, across = _covered(inside[0], grid_height), _covered(inside[1], grid_width)
    shares = np.outer(down, across).astype(np.float32) / np.float32(PATCH**2)
    step = WINDOW // PATCH
    masks = [
        shares[row * step : row * step + CROP_PATCHES, column * step : column * step + CROP_PATCHES].reshape(-1)
        for row in range(rows)
        for column in range(columns)
    ]
    return np.stack([*masks, np.full(CROP_PATCHES**2, -1, dtype=np.float32)])


def _covered(inside: slice, length: int) -> np.ndarray:
    """How many pixels of each patch along a side lie within the picture."""
    begin = np.arange(0, length, PATCH)
    return np.clip(np.minimum(begin + PATCH, inside.stop) - np.maximum(begin, inside.start), 0, PATCH)


def fitted_size(height: int, width: int, to_height: int, to_width: int) -> tuple[int, int]:
    """Height and width after resizing into a frame with the aspect kept; float32 as in training.

    Raises:
        ImageError: A side would have no pixel left.
    """
    scale = min(np.float32(to_height) / np.float32(height), np.float32(to_width) / np.float32(width))
    size = int(np.float32(height) * scale), int(np.float32(width) * scale)
    if min(size) < 1:
        raise ImageError(
            f"A picture of {width}×{height} pixels is too narrow: resized to {to_width}×{to_height} "
            "one side would have no pixel left."
        )
    return size


def placement(height: int, width: int, to_height: int, to_width: int) -> Placement:
    """Where a picture lies in a frame, resized into it and centred.

    Raises:
        ImageError: As `fitted_size`.
    """
    new_height, new_width = fitted_size(height, width, to_height, to_width)
    return Placement((to_height - new_height) // 2, (to_width - new_width) // 2, new_height, new_width)


def sha256_int32(values: np.ndarray) -> str:
    """SHA-256 over an array's little-endian int32 bytes, row by row."""
    return hashlib.sha256(np.ascontiguousarray(values, dtype="<i4").tobytes()).hexdigest()
