"""Pictures as files hold them: deep ones, turned ones, huge and broken ones."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from profcore.errors import ImageError
from profcore.images import pictures
from profcore.images.pictures import load_picture, open_picture, picture_size, timed_picture
from profcore.spec.queries import Picture

RAMP = np.tile(np.linspace(0, 1, 256), (40, 1))


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return file


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((RAMP * 65535).astype(np.uint16), "PNG"),
        ((RAMP * 65535).astype(np.uint16), "TIFF"),
        ((RAMP * 65535).astype(np.uint16), "PPM"),
        ((RAMP * 65535).astype(np.int32), "TIFF"),
        ((RAMP * 255).astype(np.int32), "TIFF"),
        ((RAMP * 2_000_000_000 - 1_000_000_000).astype(np.int32), "TIFF"),
        (RAMP.astype(np.float32), "TIFF"),
        ((RAMP * 255).astype(np.float32), "TIFF"),
        ((RAMP * 1e9 - 5e8).astype(np.float32), "TIFF"),
    ],
)
def test_deep_pictures_are_scaled_and_not_clipped(values, kind):
    opened = np.asarray(open_picture(saved(Image.fromarray(values), kind)), dtype=int)
    assert opened.shape == (40, 256, 3)
    assert np.abs(opened[0, :, 1] - np.arange(256)).max() <= 1


def test_a_dark_deep_picture_stays_dark_and_what_is_no_number_is_black():
    dark = Image.fromarray((RAMP * 65535 / 4).astype(np.uint16))
    assert np.asarray(open_picture(saved(dark, "PNG"))).max() == 64
    values = RAMP.astype(np.float32)
    values[0, :3] = np.nan, np.inf, -np.inf
    opened = np.asarray(open_picture(saved(Image.fromarray(values), "TIFF")))
    assert opened[0, :3, 0].tolist() == [0, 0, 0]
    assert opened[1, 255, 0] == 255


@pytest.mark.parametrize("name", ["gray16.png", "gray16.tif"])
def test_a_ramp_of_16_bits_as_found(shared, name):
    opened = np.asarray(open_picture(shared / "cases" / "pictures" / name))
    assert len(np.unique(opened)) > 200
    assert opened.min() < 5 < 250 < opened.max()


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 99])
def test_the_recorded_size_is_that_of_the_picture_as_opened(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = saved(Image.new("RGB", (400, 397), "red"), kind, exif=exif)
    size = picture_size(file)
    file.seek(0)
    assert size == open_picture(file).size == ((397, 400) if 5 <= orientation <= 8 else (400, 397))


def test_turned_pictures_as_found(shared):
    place = shared / "cases" / "pictures" / "orientation"
    assert picture_size(place / "exif6.tif") == open_picture(place / "exif6.tif").size == (300, 400)
    assert picture_size(place / "exif99.jpg") == open_picture(place / "exif99.jpg").size == (400, 300)


@pytest.mark.parametrize("look", [open_picture, picture_size])
def test_a_huge_picture_is_refused_for_its_size(monkeypatch, look):
    monkeypatch.setenv("PROFCORE_MOST_MEGAPIXELS", "1")
    look(saved(Image.new("RGB", (1000, 1000)), "PNG"), "as large as it may be")
    with pytest.raises(ImageError, match="'big' is too large a picture: give one of at most 1,000,000 pixels"):
        look(saved(Image.new("RGB", (1001, 1000)), "PNG"), "big")


@pytest.mark.parametrize("look", [open_picture, picture_size])
def test_a_huge_picture_is_refused_before_it_is_decoded(look):
    # A PNG that says it has 2.5 gigapixels, and holds nothing of them.
    content = bytearray(saved(Image.new("RGB", (20, 20)), "PNG").getvalue())
    content[16:24] = struct.pack(">II", 50_000, 50_000)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    with pytest.raises(ImageError, match="at most 50,000,000 pixels"):
        look(io.BytesIO(bytes(content)), "bomb")


@pytest.mark.parametrize("look", [open_picture, picture_size])
def test_what_is_no_regular_file_is_not_waited_for(look, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", "/dev/zero", tmp_path):
        with pytest.raises(ImageError):
            look(path)


@pytest.mark.parametrize("look", [open_picture, picture_size])
def test_no_other_program_is_called_for_a_picture(look):
    with pytest.raises(ImageError, match="not a picture that can be read"):
        look(saved(Image.new("RGB", (40, 40)), "EPS"), "postscript")


@pytest.mark.parametrize("look", [open_picture, picture_size])
def test_a_cut_picture_is_broken(look):
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    whole = saved(Image.fromarray(noise), "JPEG").getvalue()
    with pytest.raises(ImageError, match="'cut' is not a picture that can be read"):
        look(io.BytesIO(whole[: len(whole) // 2]), "cut")


def test_a_picture_that_is_loaded_is_decoded_and_nothing_of_its_file_is_left_to_be_read():
    for name in ("retina", "astronaut"):
        picture = load_picture(Picture("photo", name))
        # Pillow reads a file's content only once it is asked for, and would do so within what comes next.
        assert type(picture) is Image.Image
        assert not getattr(picture, "tile", None)
        assert not hasattr(picture, "fp")


def test_reading_a_file_is_timed_without_what_is_done_once_in_a_process(monkeypatch, tmp_path):
    Image.new("RGB", (400, 300)).save(tmp_path / "a.png")
    order, real = [], pictures.open_picture
    monkeypatch.setattr(pictures, "open_picture", lambda *given: (order.append("read"), real(*given))[1])
    monkeypatch.setattr(pictures.time, "perf_counter", lambda: (order.append("clock"), float(len(order)))[1])
    for name in ("_known_formats", "photograph_path"):
        once = getattr(pictures, name)
        monkeypatch.setattr(pictures, name, lambda *given, once=once, name=name: (order.append(name), once(*given))[1])
    read, took = timed_picture(Picture("file", str(tmp_path / "a.png")))
    # Asked again within, it is known by then.
    assert order == ["_known_formats", "clock", "read", "_known_formats", "clock"]
    assert (read.size, read.mode, took) == ((400, 300), "RGB", 3e3)
    order.clear()
    assert timed_picture(Picture("photo", "coffee"))[1] is not None
    assert order[: order.index("clock")] == ["_known_formats", "photograph_path"]


@pytest.mark.parametrize("picture", [Picture("solid", "#808080"), Picture("shapes", "held-out/17")])
def test_a_picture_that_has_no_file_takes_no_time_to_be_read(picture):
    read, took = timed_picture(picture)
    assert (read.mode, took) == ("RGB", None)
