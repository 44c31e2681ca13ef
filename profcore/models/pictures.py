"""The picture an inference sees: a real photograph, a solid colour or a person's own file. Needs no torch."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image, ImageOps, UnidentifiedImageError

from profcore.errors import ImageError
from profcore.models.images import PATCH, grid_size

if TYPE_CHECKING:
    from pathlib import Path

    from profcore.spec import Picture

PHOTOS = ("astronaut", "coffee", "chelsea", "rocket")
"""Colour photographs that scikit-image's wheel carries, so that none needs a network."""

SOLID = "#808080"
"""The colour of the default dummy picture: mid grey."""

_LARGEST_RATIO = 100


def load_picture(picture: Picture) -> Image.Image:
    """The picture as RGB at its own size.

    Raises:
        ImageError: It is unknown, unreadable or too narrow.
    """
    if picture.kind == "photo":
        if picture.value not in PHOTOS:
            raise ImageError(f"There is no photograph {picture.value!r}: choose from {', '.join(PHOTOS)}.")
        import skimage.data

        return Image.fromarray(getattr(skimage.data, picture.value)())
    if picture.kind == "solid":
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", picture.value):
            raise ImageError(f"{picture.value!r} is not a colour: write it as #rrggbb.")
        return Image.new("RGB", grid_size(1, 1), picture.value)
    if picture.kind == "file":
        return open_picture(picture.value)
    raise ImageError(f"Unknown kind of picture {picture.kind!r}: choose photo, solid or file.")


def open_picture(source: str | Path | BinaryIO, name: str | None = None) -> Image.Image:
    """A person's own picture as RGB, turned as its camera says.

    Args:
        source: A path, or the picture's content.
        name: What to call it in errors; the path unless given.

    Raises:
        ImageError: It cannot be read, or its sides are shorter than a patch or further apart than 100:1.
    """
    name = name or str(source)
    try:
        with Image.open(source) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
    except FileNotFoundError:
        raise ImageError(f"There is no picture {name!r}.") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise ImageError(f"{name!r} is not a picture that can be read: give a PNG, JPEG, WebP or similar.") from None
    width, height = image.size
    if min(width, height) < PATCH or max(width, height) > _LARGEST_RATIO * min(width, height):
        raise ImageError(
            f"A picture of {width}×{height} pixels is too narrow: both sides need at least {PATCH} pixels "
            f"and may differ by at most {_LARGEST_RATIO}:1."
        )
    return image


def fit_to_grid(image: Image.Image, rows: int, columns: int) -> Image.Image:
    """The picture cropped around its middle to a grid's shape and resized to its size.

    The model's own tiling rule then gives exactly that grid, with no padding.
    """
    return ImageOps.fit(image, grid_size(rows, columns), Image.Resampling.BICUBIC)
