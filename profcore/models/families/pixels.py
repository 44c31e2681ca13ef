"""The tensors that each way of cutting a picture comes to: a function a way, named by a family's `inputs`.

Each takes the picture's values, its layout and the configuration, and gives the arguments of the model's forward that
say what the picture is. No processor of transformers takes part, so that a bare configuration is enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import interpolate, pad

from profcore.models.families.family import NORMALS
from profcore.models.families.tile_rules import anyres, margins
from profcore.models.families.token_rules import number
from profcore.models.pixels import picture_values

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    from profcore.models.families.shape import FamilyShape
    from profcore.models.families.token_rules import Layout


SOFT_BUDGETS = (70, 140, 280, 560, 1120)
"""Soft tokens that Gemma 4 knows budgets of."""


def picture_tensors(shape: FamilyShape, picture: Image, layout: Layout, device: torch.device) -> dict[str, Tensor]:
    """The picture as the model's forward takes it.

    It goes to the device as bytes, and is resized, normalised and cut there.

    Args:
        shape: The model's.
        picture: The picture.
        layout: How it is cut.
        device: Where it goes.
    """
    mean, deviation = (torch.tensor(each, device=device)[:, None, None] for each in NORMALS[shape.kind.normal])
    values = picture_values(picture, device).sub_(mean).div_(deviation)
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
    """The overview, then tiles of the resolution that was chosen, and the size that the model is to choose it by.

    That is the picture's own, unless it was told another number of tiles than its size comes to.

    Shapes:
        pixel_values: (1, views, 3, side, side); image_sizes: (1, 2), height first.
    """
    height, width = values.shape[2:]
    if anyres(config, width, height) != layout:
        height, width = layout.height, layout.width
    sizes = torch.tensor([[height, width]], device=values.device)
    return {"pixel_values": _views(values, layout, overview_first=True)[None], "image_sizes": sizes}


def soft_patches(values: Tensor, layout: Layout, config: dict[str, Any]) -> dict[str, Tensor]:
    """Patches as rows with their places, padded to the budget that holds them.

    Shapes:
        pixel_values: (1, budget, patch² * 3); image_position_ids: (1, budget, 2), column first, -1 where padded.

    Source: transformers, `Gemma4ImageProcessor`.
    """
    vision = config["vision_config"]
    patch, rows, columns = vision["patch_size"], layout.rows, layout.columns
    budget = next(units for units in SOFT_BUDGETS if units >= layout.tokens) * vision["pooling_kernel_size"] ** 2
    cut = _resized(values, layout.height, layout.width).view(3, rows, patch, columns, patch)
    cut = cut.permute(1, 3, 2, 4, 0).reshape(rows * columns, -1)
    column, row = torch.meshgrid(*(torch.arange(each, device=cut.device) for each in (columns, rows)), indexing="xy")
    places = torch.stack([column, row], dim=-1).reshape(-1, 2)
    padding = (0, 0, 0, budget - len(places))
    return {"pixel_values": pad(cut, padding)[None], "image_position_ids": pad(places, padding, value=-1)[None]}


def overlapping_crops(values: Tensor, layout: Layout, config: dict[str, Any]) -> dict[str, Tensor]:
    """The overview and crops that overlap, as rows of patches, and which patches are pooled to each token.

    Shapes:
        pixel_values: (views, patches, patch² * 3); image_token_pooling: (tokens, pool²), -1 for none.
        image_grids: (1, 4), rows and columns of tokens of the overview and of the crops; image_num_crops: (1,).

    Source: transformers, `Molmo2ImageProcessor`.
    """
    patch, pool = config["vision_config"]["patch_size"], number(config["image_processor"], "pooling_size")
    side, (left, right) = number(config["vision_config"], "image_size"), margins(config)
    along, window = side // patch, side - (left + right) * patch
    whole = _resized(values, layout.height, layout.width)[0]
    crops = whole.unfold(1, side, window).unfold(2, side, window).permute(1, 2, 0, 3, 4).reshape(-1, 3, side, side)
    views = torch.cat([_resized(values, side, side), crops])
    cut = views.view(-1, 3, along, patch, along, patch).permute(0, 2, 4, 3, 5, 1).reshape(len(views), along**2, -1)
    near = _pooled(torch.arange(along**2).view(along, along), pool)
    far = _pooled(_kept_patches(layout, along, left, right), pool)
    places = torch.cat([near.flatten(0, 1), torch.where(far >= 0, far + along**2, -1).flatten(0, 1)])
    grids = torch.tensor([[*near.shape[:2], *far.shape[:2]]])
    tensors = {"image_token_pooling": places, "image_grids": grids, "image_num_crops": torch.tensor([len(views)])}
    return {"pixel_values": cut, **{name: each.to(values.device) for name, each in tensors.items()}}


def _kept_patches(layout: Layout, along: int, left: int, right: int) -> Tensor:
    """Of each place of the whole picture, the number of the patch that shows it: overlaps are kept once.

    Shapes:
        Returns (rows of patches, columns of patches).
    """
    rows, columns = layout.rows, layout.columns
    numbers = torch.arange(rows * columns * along**2).view(rows, columns, along, along)
    numbers[1:, :, :left] = -1
    numbers[:, 1:, :, :left] = -1
    if right:
        numbers[:-1, :, -right:] = -1
        numbers[:, :-1, :, -right:] = -1
    numbers = numbers.permute(0, 2, 1, 3).reshape(-1)
    return numbers[numbers >= 0].view(rows * (along - left - right) + left + right, -1)


def _pooled(numbers: Tensor, pool: int) -> Tensor:
    """Patches in windows of some by some, -1 where a window reaches beyond.

    Shapes:
        numbers: (rows, columns). Returns (windows down, windows across, pool²).
    """
    down, across = (-side % pool for side in numbers.shape)
    numbers = pad(numbers, (across // 2, (across + 1) // 2, down // 2, (down + 1) // 2), value=-1)
    windows = numbers.unfold(0, pool, pool).unfold(1, pool, pool)
    return windows.reshape(*windows.shape[:2], pool**2)
