"""Every engine gives what eager gives; graphs themselves need a GPU (see test_gpu)."""

from dataclasses import replace

import pytest
import torch

from profcore.engines import make_engine
from profcore.engines.base import PreparationError, StopRequestedError
from profcore.engines.capture import Captures
from profcore.engines.compiled import CompiledEngine
from profcore.engines.eager import EagerEngine
from profcore.engines.graph import GraphEngine
from profcore.errors import UserError
from profcore.images.pictures import load_picture
from profcore.inspectors.parity import against_eager, every_knob
from profcore.models.config import PRESETS
from profcore.models.inputs import grid_inputs
from profcore.models.load import LoadedModel
from profcore.models.molmoe import random_model
from profcore.models.prompt import ByteTokenizer
from profcore.spec.queries import Picture
from profcore.spec.settings import Setting
from profcore.spec.stages import MODEL_STAGES, Stage

CPU = torch.device("cpu")
# On a processor torch's own compiler takes a minute before the first token.
FAST = ["graph", pytest.param("compiled", marks=pytest.mark.long)]


@pytest.fixture(scope="module")
def own():
    """A model of this module's own, since an engine stacks its weights."""
    config = PRESETS["tiny"]
    return LoadedModel(random_model(config, CPU, torch.float32, "grouped_mm"), ByteTokenizer(config), "random")


@pytest.fixture(scope="module")
def engines(own):
    return {"graph": GraphEngine(own.model, graphs=False), "compiled": CompiledEngine(own.model)}


def knobs():
    """Each knob turned; a long answer goes through two blocks here, and through all of them in the long tests."""
    *others, longest = every_knob(PRESETS["tiny"])
    short = replace(longest, block_mask=(True, True) + (False,) * 14)
    # All experts are tried, so that half of them are no other case.
    half = next(each for each in others if each.top_k == PRESETS["tiny"].num_experts // 2)
    others.remove(half)
    return [*others, short, *(pytest.param(each, marks=pytest.mark.long) for each in (half, longest))]


def described(setting):
    return f"{setting.grid_label}-top{setting.top_k}-{setting.mask_label}-{setting.output_tokens}"


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("setting", knobs(), ids=described)
def test_the_same_tokens_and_logits_as_eager(own, engines, name, setting):
    difference = against_eager(own, engines[name], setting)
    assert difference.passed, difference
    assert difference.largest < 1e-5


def test_a_difference_is_noticed(own, engines, monkeypatch):
    engine = engines["graph"]
    setting = every_knob(PRESETS["tiny"])[0]
    original = engine.infer

    def other(inputs, setting, **rest):
        tokens, logits = original(inputs, setting, **rest)
        return (tokens + 1) % 512, [step.roll(1) for step in logits]

    monkeypatch.setattr(engine, "infer", other)
    assert not against_eager(own, engine, setting).passed


def test_stacked_weights_are_no_copies(own, engines):
    attention = own.model.llm.model.layers[0].self_attn
    whole = engines["compiled"].attention[0][1]
    assert whole.data_ptr() == attention.q_proj.weight.data_ptr()
    assert torch.equal(whole, torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]))
    again = CompiledEngine(own.model)
    assert again.attention[0][1].data_ptr() == whole.data_ptr()


@pytest.mark.long
def test_blocks_share_one_compilation(own, engines):
    torch._dynamo.utils.counters.clear()
    engine = CompiledEngine(own.model)
    setting = every_knob(PRESETS["tiny"])[0]
    inputs = grid_inputs(own, load_picture(Picture()), (1, 2), "One?")
    engine.infer(inputs, setting)
    # Patches, a block of each kind, projector, router for many tokens and for one, the head: not sixteen of any.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 9


@pytest.mark.long
def test_a_prepared_setting_is_not_prepared_again(own, engines):
    engine, told = engines["compiled"], []
    setting = Setting((1, 1), 4, (True,) * 16, 3)
    inputs = grid_inputs(own, load_picture(Picture()), (1, 1), "What?")
    engine.prepare(inputs, setting, told.append)
    assert len(told) == 1
    before = len(engine.captures)
    engine.prepare(inputs, setting, told.append)
    engine.infer(inputs, setting)
    assert (len(told), len(engine.captures)) == (1, before)


@pytest.mark.parametrize("name", FAST)
def test_another_picture_of_the_same_shape_is_taken_in(own, engines, name):
    setting = every_knob(PRESETS["tiny"])[0]
    eager = EagerEngine(own.model)
    for photograph in ("astronaut", "coffee", "astronaut"):
        inputs = grid_inputs(own, load_picture(Picture("photo", photograph)), (1, 1), "What is this?")
        _, expected = eager.infer(inputs, setting, keep_logits=True)
        _, logits = engines[name].infer(inputs, setting, keep_logits=True)
        torch.testing.assert_close(torch.stack(logits), torch.stack(expected), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", FAST)
def test_stop_is_asked_before_each_step(own, engines, name):
    inputs = grid_inputs(own, load_picture(Picture()), (1, 1), "What is this?")
    with pytest.raises(StopRequestedError):
        engines[name].infer(inputs, every_knob(PRESETS["tiny"])[0], None, lambda: True)


def test_work_that_cannot_be_prepared_says_why():
    def work():
        raise RuntimeError("\n  no such kernel\nmore")

    captures = Captures(CPU, graphs=False)
    with pytest.raises(PreparationError, match=r"^RuntimeError: no such kernel$"):
        captures.add("key", work)
    assert "key" not in captures


def test_captures_are_bounded():
    captures = Captures(CPU, graphs=False, most=2)
    for key in ("a", "b", "a", "c"):
        captures.add(key, list)
    assert ("a" in captures, "b" in captures, "c" in captures) == (True, False, True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_graphs_need_a_gpu(own):
    with pytest.raises(UserError, match=r"needs a GPU.*eager or compiled"):
        make_engine("graph", own.model)


def test_an_engine_that_is_none(own):
    with pytest.raises(UserError, match="choose from eager, graph, compiled"):
        make_engine("fast", own.model)


def test_compiling_on_a_cpu_needs_a_compiler(own, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UserError, match="needs a C\\+\\+ compiler"):
        make_engine("compiled", own.model)


@pytest.mark.parametrize("name", FAST)
def test_stages_repeated_one_by_one_give_what_an_inference_gives(own, engines, name):
    setting = Setting((1, 1), PRESETS["tiny"].top_k, (True, True) + (False,) * 14, 6)
    inputs = grid_inputs(own, load_picture(Picture()), setting.grid, "What is this?")
    expected, _ = EagerEngine(own.model).infer(inputs, setting)
    engine, first = engines[name], inputs.num_input_tokens
    works = engine.stage_works(inputs, setting)
    assert tuple(works) == MODEL_STAGES
    for work in works.values():
        work()
    for _ in range(2):
        engine.tokens[first + 1 :] = 0
        works[Stage.PROJECTOR]()
        works[Stage.LLM_DECODE]()
        assert torch.equal(engine.tokens[first : first + 6], expected)
