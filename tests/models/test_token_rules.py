"""From a picture's size to tokens: each rule beside transformers' own processors, and cases worked by hand."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest

from profcore.errors import ModelError
from profcore.models.families.tile_rules import anyres, idefics, molmo2, tiles
from profcore.models.families.token_rules import fixed, pixtral, resize, soft

SIZES = [
    *((1024, 768), (1920, 1080), (336, 336), (640, 480), (100, 900), (31, 57), (1, 40), (2000, 3000), (5000, 400)),
    *((448, 448), (896, 448), (385, 384), (1500, 1150), (677, 1021), (4032, 3024)),
]
QWEN = {"shortest_edge": 3136, "longest_edge": 1003520, "frames": 1}
GLM = {"shortest_edge": 12544, "longest_edge": 11760000, "frames": 2}
ERNIE = {"shortest_edge": 3136, "longest_edge": 4842768, "frames": 1}


def patches(patch: int, limits: dict) -> dict:
    return {"vision_config": {"patch_size": patch, "spatial_merge_size": 2}, "image_processor": limits}


def theirs(module: str, name: str):
    return getattr(importlib.import_module(f"transformers.models.{module}"), name)


def outcome(ask) -> int | None:
    """What a rule or a processor makes of a picture; None where it refuses it."""
    try:
        return ask()
    except (ModelError, ValueError):
        return None


@pytest.mark.parametrize(
    ("module", "name", "limits", "patch"),
    [
        ("qwen2_vl.image_processing_pil_qwen2_vl", "Qwen2VLImageProcessorPil", QWEN, 14),
        ("qwen2_vl.image_processing_pil_qwen2_vl", "Qwen2VLImageProcessorPil", QWEN, 16),
        ("glm4v.image_processing_pil_glm4v", "Glm4vImageProcessorPil", GLM, 14),
        ("ernie4_5_vl_moe.image_processing_pil_ernie4_5_vl_moe", "Ernie4_5_VLMoeImageProcessorPil", ERNIE, 14),
    ],
)
def test_patch_grids_are_the_processors(module, name, limits, patch):
    made = theirs(module, name)(patch_size=patch)
    for width, height in SIZES:
        own = outcome(lambda size=(width, height): resize(patches(patch, limits), *size).patches)
        assert own == outcome(lambda size=(height, width): made.get_number_of_image_patches(*size, {})), (width, height)


@pytest.mark.parametrize(("size", "tokens"), [((1024, 768), 999), ((1920, 1080), 2691)])
def test_glm_and_ernie_as_measured(size, tokens):
    assert resize(patches(14, GLM), *size).tokens == resize(patches(14, ERNIE), *size).tokens == tokens


def test_a_limit_may_be_written_in_either_way():
    spellings = ({"min_pixels": 3136, "max_pixels": 401408}, {"size": {"shortest_edge": 3136, "longest_edge": 401408}})
    found = {resize(patches(14, each), 1920, 1080).tokens for each in spellings}
    assert len(found) == 1
    assert found.pop() <= 401408 / 28**2


IDEFICS = {
    "vision_config": {"image_size": 364, "patch_size": 14},
    "scale_factor": 2,
    "image_processor": {"longest_edge_tiles": 4},
}


@pytest.mark.parametrize(("size", "views"), [((1024, 768), 13), ((336, 336), 17)])
def test_idefics_enlarges_small_pictures(size, views):
    found = idefics(IDEFICS, *size)
    assert (found.views, found.tokens) == (views, views * 169)


@pytest.mark.parametrize("module", ["idefics3.image_processing_pil_idefics3", "smolvlm.image_processing_pil_smolvlm"])
def test_tiles_of_idefics_are_the_processors(module):
    name = "Idefics3ImageProcessorPil" if "idefics3" in module else "SmolVLMImageProcessorPil"
    made = theirs(module, name)()
    for width, height in SIZES:
        found = idefics(IDEFICS, width, height)
        assert (found.views, found.rows, found.columns) == made.get_number_of_image_patches(height, width, {})


INTERNVL = {
    "vision_config": {"image_size": [448, 448], "patch_size": [14, 14]},
    "downsample_ratio": 0.5,
    "image_processor": {"min_patches": 1, "max_patches": 12},
}


def test_tiles_of_internvl_are_the_processors():
    made = theirs("got_ocr2.image_processing_pil_got_ocr2", "GotOcr2ImageProcessorPil")(
        size={"height": 448, "width": 448}, crop_to_patches=True
    )
    for width, height in SIZES:
        found = tiles(INTERNVL, width, height)
        assert found.views == made.get_number_of_image_patches(height, width, {}), (width, height)
        assert found.tokens == 256 * found.views


def test_aya_pools_its_tiles():
    config = {**INTERNVL, "vision_config": {"image_size": 364, "patch_size": 14}, "downsample_factor": 2}
    assert tiles({**config, "downsample_ratio": None}, 364, 364).tokens == 13**2


PINPOINTS = [[rows * 384, columns * 384] for rows in range(1, 7) for columns in range(1, 7)]
ONEVISION = {
    "vision_config": {"image_size": 384, "patch_size": 14},
    "image_grid_pinpoints": PINPOINTS,
    "vision_aspect_ratio": "anyres_max_9",
}
NEXT = {
    "vision_config": {"image_size": 336, "patch_size": 14},
    "image_grid_pinpoints": [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]],
}


@pytest.mark.parametrize(
    ("module", "name", "config", "own"),
    [
        ("llava_onevision.processing_llava_onevision", "LlavaOnevisionProcessor", ONEVISION, {"num_image_tokens": 729}),
        ("llava_next.processing_llava_next", "LlavaNextProcessor", NEXT, {"patch_size": 14}),
    ],
)
def test_tiles_of_any_resolution_are_the_processors(module, name, config, own):
    side = config["vision_config"]["image_size"]
    # The method alone, since the processor itself is made of a tokenizer too.
    processor = theirs(module, name)
    image = SimpleNamespace(image_grid_pinpoints=config["image_grid_pinpoints"])
    made = SimpleNamespace(
        image_processor=image, num_additional_image_tokens=0, vision_aspect_ratio="anyres_max_9", **own
    )
    made._get_unpadded_features = lambda *sizes: processor._get_unpadded_features(made, *sizes)
    for width, height in SIZES:
        expected = processor._get_number_of_features(made, height, width, side, side)
        assert anyres(config, width, height).tokens == expected, (width, height)


def test_views_of_any_resolution():
    assert anyres({**NEXT, "vision_config": {"image_size": 336, "patch_size": 14}}, 1024, 768).views == 5
    assert anyres(ONEVISION, 1024, 768).views == 7


PIXTRAL = {"vision_config": {"image_size": 1540, "patch_size": 14}, "spatial_merge_size": 2}


def test_patches_of_pixtral_are_the_processors():
    import numpy as np

    ask = theirs("pixtral.image_processing_pil_pixtral", "get_resize_output_image_size")
    for width, height in SIZES[:-1]:
        expected = ask(np.zeros((height, width, 3)), size=(1540, 1540), patch_size=(28, 28))
        found = pixtral(PIXTRAL, width, height)
        assert (found.height, found.width) == tuple(expected)
        assert found.tokens * 28**2 == found.height * found.width


GEMMA4 = {"vision_config": {"patch_size": 16, "pooling_kernel_size": 3}, "image_processor": {"max_soft_tokens": 280}}


def test_soft_tokens_are_the_processors():
    ask = theirs("gemma4.image_processing_pil_gemma4", "get_aspect_ratio_preserving_size")
    for width, height in SIZES:
        found = outcome(lambda size=(width, height): soft(GEMMA4, *size))
        expected = outcome(lambda size=(height, width): ask(*size, 16, 280 * 9, 3))
        assert (found and (found.height, found.width)) == expected
        if found:
            assert found.tokens == found.height * found.width // 48**2 <= 280


MOLMO2 = {
    "vision_config": {"image_size": [378, 378], "patch_size": 14},
    "image_processor": {"max_crops": 8, "overlap_margins": [4, 4], "pooling_size": [2, 2]},
}


def test_crops_of_molmo2_are_the_processors():
    pytest.importorskip("transformers.models.molmo2", reason="this transformers has no Molmo2")
    module = "molmo2.image_processing_molmo2"
    geometry, processor = theirs(module, "compute_crop_geometry"), theirs(module, "Molmo2ImageProcessor")
    made = SimpleNamespace(
        max_crops=8, overlap_margins=[4, 4], patch_size=14, pooling_size=[2, 2], size={"height": 378, "width": 378}
    )
    for width, height in SIZES:
        found = molmo2(MOLMO2, width, height)
        assert (found.rows, found.columns, found.height, found.width) == geometry(height, width, 8, [4, 4], 378, 14)
        if hasattr(processor, "get_image_grid_and_crops"):
            (low_rows, low_columns, rows, columns), crops = processor.get_image_grid_and_crops(made, height, width)
            assert (found.tokens, found.views) == (low_rows * low_columns + rows * columns, crops)


@pytest.mark.parametrize(
    ("config", "tokens"),
    [
        ({"vision_config": {"image_size": 336, "patch_size": 14}}, 576),
        ({"vision_config": {"image_size": 896, "patch_size": 14}, "mm_tokens_per_image": 256}, 256),
        (
            {
                "vision_config": {"image_size": 980, "patch_size": 14},
                "projector_patch_to_query_dict": {"1225": 128, "4900": 256},
            },
            256,
        ),
    ],
)
def test_fixed_is_fixed(config, tokens):
    assert {fixed(config, *size).tokens for size in SIZES} == {tokens}


@pytest.mark.parametrize("value", [0, -14, "14", 1.5, None, True, [14, 16]])
def test_a_number_that_is_none_is_said(value):
    with pytest.raises(ModelError, match="patch_size="):
        resize({"vision_config": {"patch_size": value, "spatial_merge_size": 2}, "image_processor": QWEN}, 640, 480)


def test_what_is_not_known_is_said():
    with pytest.raises(ModelError, match="preprocessor_config"):
        resize(patches(14, {}), 640, 480)
    with pytest.raises(ModelError, match="no vision_config"):
        fixed({}, 640, 480)
    with pytest.raises(ModelError, match="image_grid_pinpoints"):
        anyres({**NEXT, "image_grid_pinpoints": "many"}, 640, 480)
    with pytest.raises(ModelError, match="leave nothing"):
        molmo2({**MOLMO2, "image_processor": {**MOLMO2["image_processor"], "overlap_margins": [20, 20]}}, 640, 480)
