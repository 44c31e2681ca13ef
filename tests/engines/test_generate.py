"""transformers' own `generate` as a peer: the same tokens, told of by the same clock."""

from dataclasses import replace

import pytest
import torch

from profcore.engines import make_engine
from profcore.engines.base import StopRequestedError
from profcore.engines.eager import EagerEngine
from profcore.engines.generate import GenerateEngine
from profcore.errors import UserError
from profcore.images.pictures import load_picture
from profcore.measure.clock import make_clock
from profcore.models.config import PRESETS
from profcore.models.inputs import grid_inputs
from profcore.models.load import LoadedModel
from profcore.models.molmoe import random_model
from profcore.models.prompt import ByteTokenizer
from profcore.spec.queries import Picture
from profcore.spec.settings import Setting
from profcore.spec.stages import Clock

CPU = torch.device("cpu")
SETTING = Setting((1, 1), 4, (True, True), 5)


@pytest.fixture(scope="module")
def loaded():
    config = replace(PRESETS["tiny"], n_layers=2)
    return LoadedModel(random_model(config, CPU, torch.float32, "grouped_mm"), ByteTokenizer(config), "random")


@pytest.fixture(scope="module")
def inputs(loaded):
    return grid_inputs(loaded, load_picture(Picture("solid", "#808080")), (1, 1), "Where?")


@pytest.mark.parametrize("cache", [None, "static"])
def test_it_gives_eagers_tokens_at_the_settings_length_and_its_clock_takes_every_step(loaded, inputs, cache):
    engine, clock = GenerateEngine(loaded.model, cache), make_clock(Clock.EVENTS, CPU)
    engine.prepare(inputs, SETTING)
    tokens, logits = engine.infer(inputs, SETTING, clock, keep_logits=True)
    expected, expected_logits = EagerEngine(loaded.model).infer(inputs, SETTING, keep_logits=True)
    assert tokens.tolist() == expected.tolist()
    assert all(torch.allclose(one, other, atol=1e-4) for one, other in zip(logits, expected_logits, strict=True))
    timing = clock.read()
    assert len(timing.steps) == SETTING.output_tokens - 1
    assert timing.other >= 0
    assert {router.top_k for router in loaded.model.routers()} == {8}


def test_it_stops_when_it_is_asked_to(loaded, inputs):
    with pytest.raises(StopRequestedError):
        GenerateEngine(loaded.model, None).infer(inputs, SETTING, stop=lambda: True)


def test_what_it_cannot_do_is_said(loaded, inputs):
    with pytest.raises(UserError, match="runs every transformer block"):
        GenerateEngine(loaded.model).prepare(inputs, replace(SETTING, block_mask=(True, False)))
    with pytest.raises(UserError, match="compiles on a GPU alone: use eager or compiled"):
        make_engine("generate", loaded.model)
