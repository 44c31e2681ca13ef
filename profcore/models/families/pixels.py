"""The tensors that each way of cutting a picture comes to: a function a way, named by a family's `inputs`.

Each takes the picture's values, its layout and the configuration, and gives the arguments of the model's forward that
say what the picture is. No processor of transformers takes part, so that a bare configuration is enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import interpolate

from profcore.models.families.family import NORMALS

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from profcore.models.families.shape import FamilyShape
    from profcore.models.families.token_rules import Layout


def picture_tensors(shape: FamilyShape, picture: Image, layout: Layout, device: torch.device) -> dict[str, Tensor]:
    """The picture as the model's forward takes it.

    It goes to the device as bytes, and is resized, normalised and cut there.

    Args:
        shape: The model's.
        picture: The picture.
        layout: How it is cut.
        device: Where it goes.
    """
    data = torch.from_numpy(np.array(picture.convert("RGB"))).to(device)
    mean, deviation = (torch.tensor(each, device=device)[:, None, None] for each in NORMALS[shape.kind.normal])
    values = data.permute(2, 0, 1)[None].to(torch.float32).div_(255).sub_(mean).div_(deviation)
    return globals()[shape.kind.inputs](values, layout, shape.config)


def _resized(values: Tensor, height: int, width: int) -> Tensor:
    return interpolate(values, (height, width), mode="bilinear", antialias=True)


def _views(values: Tensor, layout: Layout, overview_first: bool) -> Tensor:
    """Tiles and, where there is one, the overview.

    Shapes:
        values: (1, 3, h, w). Returns (views, 3, side, side).
    """
    height, width = layout.height // layout.rows, layout.width // layout.columns
    whole = _resized(values, layout.height, layout.width)
    tiles = whole.view(3, layout.rows, height, layout.columns, width).permute(1, 3, 0, 2, 4)
    tiles = tiles.reshape(-1, 3, height, width)
    if layout.views == len(tiles):
        return tiles.contiguous()
    overview = _resized(values, height, width)
    return torch.cat([overview, tiles] if overview_first else [tiles, overview])


def patch_grid(values: Tensor, layout: Layout, config: dict[str, Any]) -> dict[str, Tensor]:
    """Patches as rows, neighbours that are merged one after another.

    Shapes:
        pixel_values: (patches, channels * frames * patch²); image_grid_thw: (1, 3).

    Source: transformers, `Qwen2VLImageProcessor`; ERNIE's has no second frame.
    """
    vision = config["vision_config"]
    patch, merge, frames = vision["patch_size"], vision["spatial_merge_size"], vision.get("temporal_patch_size", 1)
    rows, columns = layout.rows, layout.columns
    cut = _resized(values, layout.height, layout.width).expand(frames, -1, -1, -1)
    cut = cut.reshape(frames, 3, rows // merge, merge, patch, columns // merge, merge, patch)
    rows_of = cut.permute(2, 5, 3, 6, 1, 0, 4, 7).reshape(rows * columns, -1)
    grid = torch.tensor([[1, rows, columns]], device=values.device)
    return {"pixel_values": rows_of.contiguous(), "image_grid_thw": grid}


def one_view(values: Tensor, layout: Layout, config: dict[str, Any]) -> dict[str, Tensor]:
    """The picture at the vision encoder's size.

    Shapes:
        pixel_values: (1, 3, side, side).
    """
    return {"pixel_values": _resized(values, layout.height, layout.width)}


def masked_view(values: Tensor, layout: Layout, config: dict[str, Any]) -> dict[str, Tensor]:
    """As `one_view`, with a mask that says which pixels are picture: all.

    Shapes:
        pixel_values: (1, 3, side, side); pixel_mask: (1, side, side).
    """
    view = _resized(values, layout.height, layout.width)
    return {"pixel_values": view, "pixel_mask": torch.ones_like(view[:, 0], dtype=torch.bool)}


def sized_view(values: Tensor, layout: Layout, config: dict[str, Any]) -> dict[str, Tensor]:
    """The picture at its own size, which is said beside it.

    Shapes:
        pixel_values: (1, 3, height, width); image_sizes: (1, 2), height first.
    """
    view = _resized(values, layout.height, layout.width)
    return {"pixel_values": view, "image_sizes": torch.tensor([[layout.height, layout.width]], device=values.device)}


def tiles(values: Tensor, layout: Layout, config: dict[str, Any]) -> dict[str, Tensor]:
    """Tiles, then the overview.

    Shapes:
        pixel_values: (views, 3, side, side).
    """
    return {"pixel_values": _views(values, layout, overview_first=False)}


def padded_tiles(values: Tensor, layout: Layout, config: dict[str, Any]) -> dict[str, Tensor]:
    """As `tiles`, with a mask that says which pixels are picture: all.

    Shapes:
        pixel_values: (1, views, 3, side, side); pixel_attention_mask: (1, views, side, side).
    """
    views = _views(values, layout, overview_first=False)[None]
    return {"pixel_values": views, "pixel_attention_mask": torch.ones_like(views[:, :, 0], dtype=torch.bool)}


def any_resolution(values: Tensor, layout: Layout, config: dict[str, Any]) -> dict[str, Tensor]:
    """The overview, then tiles of the resolution that was chosen, and the picture's own size.

    Shapes:
        pixel_values: (1, views, 3, side, side); image_sizes: (1, 2), height first.
    """
    sizes = torch.tensor([list(values.shape[2:])], device=values.device)
    return {"pixel_values": _views(values, layout, overview_first=True)[None], "image_sizes": sizes}
