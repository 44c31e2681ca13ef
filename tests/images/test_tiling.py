import numpy as np
import pytest

from profcore.errors import ImageError
from profcore.images.geometry import grid_tokens
from profcore.images.processing import PLAIN_IDS, image_tokens, padding_masks, select_tiling
from profcore.images.tiling import tile, tokens_by_bound


def test_a_picture_of_exactly_one_grid_has_its_crops_at_whole_windows():
    found = tile(560, 336, 12)
    assert found.grid == (1, 2)
    boxes = found.crops[["left", "top", "right", "bottom"]].to_numpy().tolist()
    assert boxes == [[0, 0, 336, 336], [224, 0, 560, 336]]
    assert found.overlaps.to_numpy().tolist() == [[224, 0, 336, 336]]
    # Global view and two crops of 576 patches; 8 columns of 24 patches lie in both crops, and each has them once.
    assert (found.num_crops, found.patches, found.num_vision_tokens) == (3, 1728, 384)
    assert (found.redundant, found.padded) == (1728 - 4 * 384, 0)
    assert found.redundant == 2 * 4 * 24


@pytest.mark.parametrize(("width", "height"), [(600, 400), (1411, 1411), (384, 191), (1000, 872), (300, 900)])
def test_padding_is_what_the_masks_of_the_real_processing_say(width, height):
    found = tile(width, height, 12)
    grid = select_tiling(height, width, 12)
    tokens, masks = image_tokens(*grid, PLAIN_IDS), padding_masks(height, width, *grid)
    # The last row of masks is the global view's.
    assert found.padded == int((masks[:-1] == 0).sum())
    assert found.patches == masks.size
    assert found.num_vision_tokens == tokens.num_vision_tokens
    assert found.redundant == int((tokens.patch_index < 0).sum()) * 4
    inside = found.crops["left"].min(), found.crops["right"].max()
    assert inside[0] <= 0.5
    assert inside[1] >= width - 0.5


def test_tokens_under_each_bound():
    rows = tokens_by_bound(600, 400, 6).set_index("max_crops")
    assert rows.loc[1, "grid"] == "1×1"
    assert rows.loc[1, "num_vision_tokens"] == 288
    assert rows.loc[6, "grid"] == "2×3"
    assert rows.loc[6, "num_vision_tokens"] == 20 * 28 + 144
    assert np.all(np.diff(rows["num_crops"]) >= 0)


def test_a_picture_that_is_too_narrow_is_refused():
    with pytest.raises(ImageError, match="one side would have no pixel left"):
        tile(100_000, 1, 12)


@pytest.mark.parametrize(("rows", "columns", "tokens"), [(1, 1, 288), (1, 6, 768), (1, 12, 1344), (2, 3, 704)])
def test_tokens_of_a_grid_by_its_geometry(rows, columns, tokens):
    assert grid_tokens(rows, columns) == tokens == image_tokens(rows, columns, PLAIN_IDS).num_vision_tokens
