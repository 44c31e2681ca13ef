"""How a picture is cut, in numbers: patches, crops, their margins and tokens. Standard library only.

The most crops that a grid may have is a bound on settings: `spec.settings.MAX_CROPS`.

Source: allenai/molmo, `MultiModalPreprocessor` with crop mode "overlap-and-resize-c2".
"""

from __future__ import annotations

PATCH = 14
"""Side of a patch in pixels."""
PATCH_VALUES = 3 * PATCH**2
CROP_PATCHES = 24
"""Patches along a crop's side."""
CROP = CROP_PATCHES * PATCH
PATCHES_PER_CROP = CROP_PATCHES**2
MARGIN_PATCHES = 4
"""Patches on each side of a crop that belong to its neighbours."""
MARGINS = 2 * MARGIN_PATCHES * PATCH
WINDOW_PATCHES = CROP_PATCHES - 2 * MARGIN_PATCHES
WINDOW = WINDOW_PATCHES * PATCH
POOL = 2
"""Patches along the side of the window that becomes one token."""
PATCHES_PER_TOKEN = POOL**2
CROP_TOKENS = CROP_PATCHES // POOL
"""Tokens along a crop's side."""
TOKENS_PER_CROP = CROP_TOKENS**2


def grid_size(rows: int, columns: int) -> tuple[int, int]:
    """Width and height in pixels of a picture that a grid of crops covers exactly."""
    return columns * WINDOW + MARGINS, rows * WINDOW + MARGINS


def grid_tokens(rows: int, columns: int) -> int:
    """Tokens of a picture that is cut into a grid of crops, its global view included.

    Source: overlapping margins are kept once, and each `POOL` × `POOL` patches become a token (allenai/molmo).
    """
    height, width = ((WINDOW_PATCHES * crops + 2 * MARGIN_PATCHES) // POOL for crops in (rows, columns))
    return height * width + TOKENS_PER_CROP
