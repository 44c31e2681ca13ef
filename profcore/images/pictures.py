"""The picture an inference sees: a real photograph, a solid colour or a person's own file. Needs no torch."""

from __future__ import annotations

import io
import os
import re
import time
import warnings
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image, ImageOps

from profcore.errors import ImageError
from profcore.images.geometry import PATCH, grid_size
from profcore.images.shapes import draw, scene_named
from profcore.paths import open_regular
from profcore.spec.limits import LARGEST_PICTURE_FILE, PIXELS_VARIABLE, most_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profcore.spec.queries import Picture

PHOTOS = (
    *("astronaut", "coffee", "chelsea", "rocket", "hubble_deep_field", "retina", "motorcycle_left", "ihc"),
    *("camera", "coins", "moon", "page", "text", "clock_motion", "brick", "grass", "gravel", "cell"),
)
"""Photographs that scikit-image's wheel carries, so that none needs a network; those in colour first."""

SOLID = "#808080"
"""The colour of the default dummy picture: mid grey."""

_IN_FILES = ("photo", "file", "row")
_LARGEST_RATIO = 100
# What else Pillow opens, it may open by another program, such as EPS by Ghostscript.
_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM")
# Pillow warns from half of the pixels on that it refuses.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Pixels in one piece go to a card from where they lie (`profcore.models.pixels`); Pillow cuts from 16 MiB on.
Image.core.set_block_size(2**28)
_ORIENTATION = 0x0112
# EXIF 2.32, tag 0x0112: 1 to 4 stand upright or on their head, and no others exist.
_ON_THEIR_SIDE = (5, 6, 7, 8)


def load_picture(picture: Picture) -> Image.Image:
    """The picture as RGB at its own size.

    Raises:
        ImageError: It is unknown, unreadable or too narrow.
    """
    if picture.kind == "photo":
        if picture.value not in PHOTOS:
            raise ImageError(f"There is no photograph {picture.value!r}: choose from {', '.join(PHOTOS)}.")
        return open_picture(photograph_path(picture.value), picture.value)
    if picture.kind == "solid":
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", picture.value):
            raise ImageError(f"{picture.value!r} is not a colour: write it as #rrggbb.")
        return Image.new("RGB", grid_size(1, 1), picture.value)
    if picture.kind == "file":
        return open_picture(picture.value)
    if picture.kind == "row":
        from profcore.images.rows import read_picture

        return open_picture(io.BytesIO(read_picture(picture.value)), picture.value)
    if picture.kind == "shapes":
        return draw(scene_named(picture.value))
    raise ImageError(f"Unknown kind of picture {picture.kind!r}: choose photo, solid, file, row or shapes.")


def timed_picture(picture: Picture) -> tuple[Image.Image, float | None]:
    """A picture as `load_picture` gives it, and the milliseconds that its file took: read, decoded, turned, made RGB.

    None where it has no file, as a colour has not. What is done once in a process, such as looking for the formats that
    can be read, is not in it. A file that was read before comes from the operating system's cache.

    Raises:
        ImageError: As `load_picture`.
    """
    if picture.kind not in _IN_FILES:
        return load_picture(picture), None
    _known_formats()
    if picture.value in PHOTOS:
        photograph_path(picture.value)
    begin = time.perf_counter()
    read = load_picture(picture)
    return read, (time.perf_counter() - begin) * 1e3


@cache
def photograph_path(name: str) -> Path:
    """Where a photograph of scikit-image lies, as its wheel carries it."""
    import skimage.data

    directory = Path(skimage.data.__file__).parent
    return next(path for ending in ("png", "jpg") if (path := directory / f"{name}.{ending}").exists())


def open_picture(source: str | Path | BinaryIO, name: str | None = None) -> Image.Image:
    """A person's own picture as RGB, turned as its camera says.

    Args:
        source: A path, or the picture's content.
        name: What to call it in errors; the path unless given.

    Raises:
        ImageError: It cannot be read, or its sides are shorter than a patch or further apart than 100:1.
    """
    name = name or str(source)
    with _readable(name), _opened(source) as opened:
        check_size(*opened.size)
        image = in_eight_bits(ImageOps.exif_transpose(opened)).convert("RGB")
    check_size(*image.size)
    return image


def picture_size(source: str | Path | BinaryIO, name: str | None = None) -> tuple[int, int]:
    """Width and height of a picture, turned as its camera says; its content is looked at, so that a cut one is found.

    Raises:
        ImageError: As `open_picture`.
    """
    with _readable(name or str(source)), _opened(source) as opened:
        width, height = opened.size
        check_size(width, height)
        # A JPEG is as broken at an eighth of its size, and read in a fraction of the time.
        opened.draft("RGB", (1, 1))
        opened.load()
        # Asked once it is loaded, since Pillow turns a TIFF by itself and then says that it need not be turned.
        if opened.getexif().get(_ORIENTATION) in _ON_THEIR_SIDE:
            width, height = height, width
    return width, height


def in_eight_bits(image: Image.Image) -> Image.Image:
    """A picture of more than 8 bits a value in 8, scaled by the range of its kind; others as they are.

    16 bits are scaled by theirs. Whole numbers of 32 bits and floats have none of their own, so the narrowest usual one
    that holds all values counts (0 to 1 for floats, 8 bits, 16 bits), else the picture's own from darkest to lightest.
    """
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
    low, high = 0.0, 65535.0
    if not image.mode.startswith("I;16"):
        usual = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        low, most = float(values.min()), float(values.max())
        high = next((each for each in usual if low >= 0 and most <= each), most)
        low = 0.0 if low >= 0 and most <= usual[-1] else low
    scaled = (values - low) * (255 / ((high - low) or 1))
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


@contextmanager
def _opened(source: str | Path | BinaryIO) -> Iterator[Image.Image]:
    """A picture whose size is known and whose content is not yet decoded.

    Raises:
        Image.DecompressionBombError: It has more pixels than may be decoded.
        OSError: There is no such file, or too large a one.
    """
    with ExitStack() as files:
        if isinstance(source, str | Path):
            source = files.enter_context(open_regular(source))
            if os.fstat(source.fileno()).st_size > LARGEST_PICTURE_FILE:
                raise OSError
        # Pillow itself looks, since a file may hold a picture of another size than it says at its beginning.
        Image.MAX_IMAGE_PIXELS = most_pixels() // 2
        yield files.enter_context(Image.open(source, formats=_known_formats()))


@cache
def _known_formats() -> list[str]:
    """The formats that this machine's Pillow can read, of those that a picture may have."""
    Image.init()
    return [name for name in _FORMATS if name in Image.OPEN]


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"There is no picture {name!r}.") from None
    except (Image.DecompressionBombError, MemoryError):
        raise ImageError(
            f"{name!r} is too large a picture: give one of at most {most_pixels():,} pixels, or set {PIXELS_VARIABLE}."
        ) from None
    # Whatever is wrong with a file's bytes, its decoder may stumble over it in any way.
    except Exception:
        raise ImageError(f"{name!r} is not a picture that can be read: give a PNG, JPEG, WebP or similar.") from None


def check_size(width: int, height: int) -> None:
    """Whether a picture of this size can be cut into patches.

    Raises:
        ImageError: A side is shorter than a patch, or the sides differ by more than 100:1.
    """
    if min(width, height) < PATCH or max(width, height) > _LARGEST_RATIO * min(width, height):
        raise ImageError(
            f"A picture of {width}×{height} pixels is too narrow: both sides need at least {PATCH} pixels "
            f"and may differ by at most {_LARGEST_RATIO}:1."
        )


def fit_to_grid(image: Image.Image, rows: int, columns: int) -> Image.Image:
    """The picture cropped around its middle to a grid's shape and resized to its size.

    The model's own tiling rule then gives exactly that grid, with no padding.
    """
    return ImageOps.fit(image, grid_size(rows, columns), Image.Resampling.BICUBIC)
