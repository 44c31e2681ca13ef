"""The eager engine's stages repeated one by one give what an inference gives; the others' are in test_engines."""

import pytest
import torch

from profcore.engines.eager import EagerEngine
from profcore.engines.eager_stages import EagerStages
from profcore.engines.graph import GraphEngine
from profcore.images.pictures import load_picture
from profcore.models.config import PRESETS
from profcore.models.inputs import grid_inputs
from profcore.models.load import LoadedModel
from profcore.models.molmoe import random_model
from profcore.models.prompt import ByteTokenizer
from profcore.spec.queries import Picture
from profcore.spec.stages import MODEL_STAGES, Stage
from tests.support import small_sweep

DECODING, PREFILLING = (small_sweep("output_tokens", (tokens,)).settings[0] for tokens in (6, 1))


@pytest.fixture(scope="module")
def own():
    """A model of this module's own, since an engine stacks its weights."""
    config = PRESETS["tiny"]
    return LoadedModel(
        random_model(config, torch.device("cpu"), torch.float32, "eager"), ByteTokenizer(config), "random"
    )


@pytest.fixture(scope="module")
def inputs(own):
    return grid_inputs(own, load_picture(Picture()), (1, 1), "What is this?")


def test_eager(own, inputs):
    expected, _ = EagerEngine(own.model).infer(inputs, DECODING)
    stages = EagerStages(own.model, inputs, DECODING)
    works = stages.works()
    assert tuple(works) == MODEL_STAGES
    for work in works.values():
        for _ in range(2):
            work()
    assert torch.equal(stages.tokens, expected)
    works[Stage.VISION_ENCODER]()
    works[Stage.LLM_DECODE]()
    assert torch.equal(stages.tokens, expected)
    # The knobs are turned back.
    assert own.model.active_blocks == tuple(range(16))


def test_one_token_has_no_decode(own, inputs):
    for engine in (EagerEngine(own.model), GraphEngine(own.model, graphs=False)):
        assert Stage.LLM_DECODE not in engine.stage_works(inputs, PREFILLING)
