"""The pixels that the vision encoder sees: resized, normalised and cut on the model's own device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow
import torch
from torch.nn.functional import interpolate

from profcore.images.geometry import CROP, grid_size
from profcore.images.processing import crop_windows, placement

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def picture_pixels(picture: Image.Image, rows: int, columns: int, device: torch.device) -> Tensor:
    """A picture's global view and its crops, normalised.

    It goes to the device as bytes, a quarter of what its values take, and all that is done to each pixel happens there.

    Shapes:
        (1 + rows * columns, 3, 336, 336) float32; the global view first.

    Raises:
        ImageError: The picture is so narrow that nothing of it is left once it is resized.

    Source: allenai/molmo, `MultiModalPreprocessor` with crop mode "overlap-and-resize-c2".
    """
    return crop_pixels(picture_values(picture, device), rows, columns)[0]


def picture_values(picture: Image.Image, device: torch.device) -> Tensor:
    """A picture's red, green and blue on a device, to which it goes as bytes.

    Shapes:
        (1, 3, h, w) float32 in 0..1.
    """
    rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
    return _pillows_bytes(rgb).to(device).permute(2, 0, 1)[None, :3].to(torch.float32).div_(255)


def _pillows_bytes(rgb: Image.Image) -> Tensor:
    """A picture where Pillow itself holds it; a copy where that is in several pieces, as of the largest pictures.

    Shapes:
        (h, w, 4) uint8, the fourth of no meaning; a copy has three.
    """
    try:
        held = torch.from_dlpack(pyarrow.array(rgb).values)
    except ValueError:
        return torch.from_numpy(np.array(rgb))
    return held.view(rgb.height, rgb.width, 4)


def crop_pixels(values: Tensor, rows: int, columns: int) -> Tensor:
    """As `picture_pixels`, of pictures of one size that are on the device already.

    Shapes:
        values: (pictures, 3, h, w) in 0..1. Returns (pictures, 1 + rows * columns, 3, 336, 336).

    Raises:
        ImageError: As `picture_pixels`.
    """
    grid_width, grid_height = grid_size(rows, columns)
    whole = _framed(values, grid_height, grid_width)
    windows = [whole[:, :, height, width] for height, width in crop_windows(rows, columns)]
    return _normalised(torch.stack([_framed(values, CROP, CROP), *windows], dim=1))


def _framed(values: Tensor, height: int, width: int) -> Tensor:
    """Each picture resized into a frame and centred; what it does not reach is 0.

    Shapes:
        values: (pictures, 3, h, w) in 0..1. Returns (pictures, 3, height, width).
    """
    placed = placement(values.shape[2], values.shape[3], height, width)
    resized = interpolate(values, (placed.height, placed.width), mode="bilinear", antialias=True).clamp_(0, 1)
    if resized.shape[2:] == (height, width):
        return resized
    frame = values.new_zeros(*values.shape[:2], height, width)
    frame[:, :, placed.inside[0], placed.inside[1]] = resized
    return frame


def _normalised(crops: Tensor) -> Tensor:
    mean, std = (torch.tensor(each, device=crops.device)[:, None, None] for each in (CLIP_MEAN, CLIP_STD))
    return crops.sub_(mean).div_(std)
