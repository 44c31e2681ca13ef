import hashlib
import io
import json

import numpy as np
import pytest
from PIL import Image

from profcore.errors import ImageError
from profcore.images import processing
from profcore.images.pictures import PHOTOS, fit_to_grid, load_picture, open_picture
from profcore.spec.queries import Picture


def test_tokens_and_masks_of_all_reference_cases(shared):
    reference = json.loads((shared / "reference" / "image_processing.json").read_text())
    assert len(reference["cases"]) == 24
    for case in reference["cases"]:
        tiling = processing.select_tiling(case["height"], case["width"], case["max_crops"])
        assert list(tiling) == case["tiling"]
        tokens = processing.image_tokens(*tiling, reference["special_token_ids"])
        assert tokens.num_crops == case["num_crops"]
        assert tokens.num_vision_tokens == case["num_vision_tokens"]
        assert tokens.num_image_tokens == case["num_image_tokens"]
        assert processing.sha256_int32(tokens.patch_index) == case["patch_index_sha256"]
        assert processing.sha256_int32(tokens.tokens) == case["tokens_sha256"]
        masks = processing.padding_masks(case["height"], case["width"], *tiling)
        assert np.allclose(masks.mean(axis=1), case["mask_means"], atol=1e-4)


@pytest.mark.parametrize("columns", range(1, 13))
def test_a_fitted_picture_is_tiled_to_its_grid_without_padding(columns):
    width, height = fit_to_grid(load_picture(Picture()), 1, columns).size
    tiling = processing.select_tiling(height, width, columns)
    assert tiling == (1, columns)
    assert processing.image_tokens(*tiling, processing.PLAIN_IDS).num_vision_tokens == (8 * columns + 4) * 12 + 144
    masks = processing.padding_masks(height, width, *tiling)
    assert (masks[:-1] == 1).all()
    assert (masks[-1] == -1).all()


def test_hash_is_over_little_endian_int32():
    assert processing.sha256_int32(np.array([1])) == hashlib.sha256(b"\x01\x00\x00\x00").hexdigest()


@pytest.mark.parametrize("size", [(1, 20000), (20000, 1)])
def test_a_picture_too_narrow_to_resize(size):
    with pytest.raises(ImageError, match="too narrow"):
        processing.padding_masks(size[1], size[0], *processing.select_tiling(size[1], size[0], 12))


def test_photographs_are_real_and_ship_with_scikit_image():
    for name in PHOTOS:
        photo = np.asarray(load_picture(Picture("photo", name)))
        assert photo.shape[2] == 3
        # A photograph has many shades, also one of the moon, whose shades are close to each other.
        assert photo.std() > 10
        assert len(np.unique(photo)) > 100


def test_pictures_that_are_none(tmp_path):
    text = tmp_path / "notes.png"
    text.write_text("no picture")
    with pytest.raises(ImageError, match="not a picture"):
        open_picture(text)
    with pytest.raises(ImageError, match="There is no picture"):
        open_picture(tmp_path / "missing.png")
    narrow = io.BytesIO()
    Image.new("RGB", (1, 20000)).save(narrow, "PNG")
    with pytest.raises(ImageError, match="too narrow"):
        open_picture(narrow, "narrow.png")
    with pytest.raises(ImageError, match="#rrggbb"):
        load_picture(Picture("solid", "red"))
    with pytest.raises(ImageError, match="choose from"):
        load_picture(Picture("photo", "nobody"))
