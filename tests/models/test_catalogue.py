"""The named shapes: what is published of them, counted without memory, and the grids that they can be given."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import profcore.models.families as families
from profcore.errors import ModelError
from profcore.models.families.catalogue import CATALOGUE, ENTRIES
from profcore.models.families.shape import shape_of
from profcore.models.families.vision_tokens import grid_layout, layout, picture_of_grid, possible_grids, vision_tokens

FILES = sorted((Path(families.__file__).with_name("shapes")).glob("*.json"))


def test_every_file_is_in_the_catalogue():
    assert len(FILES) >= 10
    assert set(CATALOGUE) == {path.stem for path in FILES}
    assert len({shape.model_type for shape in CATALOGUE.values()}) >= 10


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_parameters_are_as_published_and_as_counted(name):
    from profcore.models.families.counting import count, empty_model

    entry = ENTRIES[name]
    counted = count(empty_model(entry.shape))
    assert counted.total == pytest.approx(entry.published_billions * 1e9, rel=0.02)
    # The catalogue is of one version of transformers; another may hold a buffer as a parameter.
    assert counted.total == pytest.approx(entry.parameters.total, rel=1e-4)
    assert counted == entry.parameters


def test_what_a_token_uses():
    whole = ENTRIES["qwen3-vl-30b-a3b"]
    assert whole.parameters.active(whole.shape.top_k) == pytest.approx(3.9e9, rel=0.01)
    assert whole.parameters.active(128) == whole.parameters.total
    assert whole.parameters.memory_bytes("bfloat16") == pytest.approx(62.1e9, rel=0.01)
    dense = ENTRIES["qwen3-vl-8b"]
    assert dense.parameters.active(1) == dense.parameters.total


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_each_says_where_its_numbers_come_from(path):
    found = json.loads(path.read_text(encoding="utf-8"))
    publisher, _, file = found["source"].partition("/")
    assert publisher and re.match(r"[\w.-]+, (config\.json|as transformers' \w+)", file)


@pytest.mark.parametrize("name", list(CATALOGUE))
def test_a_grid_is_a_picture_of_that_many_tokens(name):
    shape = CATALOGUE[name]
    grids = possible_grids(shape)
    assert grids[0] == (1, 1)
    assert len(grids) == 1 if shape.vision_reason else len(grids) > 3
    for grid in grids:
        found, picture = grid_layout(shape, grid), picture_of_grid(shape, grid)
        assert picture == (found.width, found.height)
        # Two families are given an option of their processor besides the picture.
        if shape.kind.rule not in ("idefics", "soft"):
            assert vision_tokens(shape, *picture) == found.tokens
    tokens = [grid_layout(shape, grid).tokens for grid in grids]
    assert tokens == sorted(set(tokens))


@pytest.mark.parametrize(("name", "tokens"), [("qwen3-vl-30b-a3b", 144), ("glm-4.5v", 144), ("qwen2.5-vl-7b", 144)])
def test_a_unit_of_patches_has_as_many_tokens_as_molmoes_crop(name, tokens):
    assert [grid_layout(CATALOGUE[name], (1, count)).tokens for count in (1, 2, 12)] == [
        tokens * count for count in (1, 2, 12)
    ]
    assert grid_layout(CATALOGUE[name], (3, 4)).tokens == 12 * tokens


def test_a_grid_that_cannot_be_is_refused_with_those_that_can():
    with pytest.raises(ModelError, match=r"mistral-small-3\.1-24b cannot be given 1×5 units.*1×1, 1×2, 1×3, 1×4"):
        grid_layout(CATALOGUE["mistral-small-3.1-24b"], (1, 5))
    with pytest.raises(ModelError, match="fixed number of vision tokens"):
        grid_layout(CATALOGUE["gemma-3-4b"], (1, 2))
    # Without the published limits a processor of Qwen's class takes less than a megapixel.
    config = {key: value for key, value in CATALOGUE["qwen3-vl-4b"].config.items() if key != "image_processor"}
    bare = shape_of("bare", config)
    assert possible_grids(bare)[-1] == (1, 6)
    with pytest.raises(ModelError, match="cannot be given 1×7"):
        grid_layout(bare, (1, 7))


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(ModelError, match="no pixels"):
        layout(CATALOGUE["gemma-3-4b"], 0, 10)
    with pytest.raises(ModelError, match="too narrow"):
        layout(CATALOGUE["qwen3-vl-8b"], 10_000, 10)
