"""`inspect pooling`: how a crop's patches become tokens, and which of them a grid keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profcore.images.geometry import (
    CROP,
    CROP_PATCHES,
    CROP_TOKENS,
    MARGIN_PATCHES,
    PATCH,
    PATCHES_PER_CROP,
    POOL,
    TOKENS_PER_CROP,
    WINDOW_PATCHES,
)
from profcore.images.processing import PLAIN_IDS, image_tokens, select_tiling

if TYPE_CHECKING:
    from profcore.inspectors.base import Inspection


def inspect(asked: Inspection) -> dict[str, Any]:
    """Patch grid, pooling window, margins, and each crop's kept tokens in the picture's own grid.

    Raises:
        UserError: The picture cannot be read.
    """
    config, image = asked.loaded.model.config, asked.image()
    rows, columns = select_tiling(image.height, image.width, config.max_crops)
    tokens = image_tokens(rows, columns, PLAIN_IDS)
    kept = (tokens.patch_index >= 0).reshape(-1, CROP_TOKENS, CROP_TOKENS)
    crops = [
        {
            "crop": "global view"
            if index == 0
            else f"row {(index - 1) // columns + 1}, column {(index - 1) % columns + 1}",
            "tokens": int(each.sum()),
            "kept": each.astype(int).tolist(),
        }
        for index, each in enumerate(kept)
    ]
    features = config.vit_width * len(config.vit_layers)
    return {
        "crop_pixels": CROP,
        "patch_pixels": PATCH,
        "patches_per_side": CROP_PATCHES,
        "patches_per_crop": PATCHES_PER_CROP,
        "pooling_window": [POOL, POOL],
        "pooling": "attention over a window's 4 patches, the mean of them as query",
        "heads": config.vit_heads,
        "features": features,
        "pooled_width": config.vit_width,
        "token_width": config.d_model,
        "tokens_per_side": CROP_TOKENS,
        "tokens_per_crop": TOKENS_PER_CROP,
        "margin_patches": [MARGIN_PATCHES, MARGIN_PATCHES],
        "window_patches": WINDOW_PATCHES,
        "overlap_patches": CROP_PATCHES - WINDOW_PATCHES,
        "width": image.width,
        "height": image.height,
        "grid": [rows, columns],
        "crops": crops,
        "num_vision_tokens": tokens.num_vision_tokens,
    }
