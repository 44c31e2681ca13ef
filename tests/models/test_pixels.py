import json

import numpy as np
import pyarrow
import pytest
import torch
from PIL import Image

from profcore.errors import ImageError
from profcore.models.pixels import picture_pixels, picture_values

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]


def formula(width: int, height: int) -> Image.Image:
    """The picture that the reference was made from."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    return Image.fromarray((((x * 7 + y * 11 + c * 53) ^ ((x * y) // 13)) & 255).astype(np.uint8))


@pytest.mark.parametrize("device", DEVICES)
def test_pixels_of_all_reference_cases(shared, device):
    reference = json.loads((shared / "reference" / "image_processing.json").read_text())
    assert len(reference["cases"]) == 24
    for case in reference["cases"]:
        picture = formula(case["width"], case["height"])
        pixels = picture_pixels(picture, *case["tiling"], torch.device(device)).cpu().numpy()
        assert pixels.shape == (case["num_crops"], 3, 336, 336)
        # The reference counts pixels patch by patch: (crop, patch row, patch column, row, column, channel).
        patches = pixels.reshape(-1, 3, 24, 14, 24, 14).transpose(0, 2, 4, 3, 5, 1).reshape(-1)
        assert np.allclose(patches[case["sample_index"]], case["sample_value"], rtol=0, atol=1e-3)


@pytest.mark.parametrize("size", [(37, 21), (2500, 2000)])
@pytest.mark.parametrize("in_one_piece", [True, False])
def test_values_are_the_pictures_own(size, in_one_piece, monkeypatch):
    # What Pillow holds in several pieces cannot be lent.
    pieces = pyarrow.array
    lent = []

    def array(rgb):
        if not in_one_piece:
            raise ValueError("in several pieces")
        lent.append(rgb)
        return pieces(rgb)

    monkeypatch.setattr(pyarrow, "array", array)
    picture = formula(*size)
    values = picture_values(picture, torch.device("cpu"))
    assert values.shape == (1, 3, size[1], size[0])
    assert torch.equal(values[0].permute(1, 2, 0) * 255, torch.from_numpy(np.array(picture, dtype=np.float32)))
    assert len(lent) == in_one_piece
    # The picture that was lent is as it was.
    assert picture.tobytes() == formula(*size).tobytes()


def test_pictures_of_other_modes_are_what_they_show():
    grey = formula(120, 90).convert("L")
    assert torch.equal(
        picture_pixels(grey, 1, 1, torch.device("cpu")), picture_pixels(grey.convert("RGB"), 1, 1, torch.device("cpu"))
    )


@pytest.mark.parametrize("size", [(1, 20000), (20000, 1)])
def test_a_picture_too_narrow_to_resize(size):
    with pytest.raises(ImageError, match="too narrow"):
        picture_pixels(Image.new("RGB", size), 1, 1, torch.device("cpu"))
