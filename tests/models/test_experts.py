"""Which implementation of the experts runs at which stage, and whether it fits; of a GPU only what it says is faked."""

from dataclasses import replace

import pytest
import torch

from profcore.engines.eager import EagerEngine
from profcore.engines.graph import GraphEngine
from profcore.errors import UserError
from profcore.images.pictures import load_picture
from profcore.measure.environment import describe
from profcore.models import experts as experts_room
from profcore.models.config import PRESETS
from profcore.models.experts import Experts, check_memory, resolve_experts
from profcore.models.inputs import grid_inputs
from profcore.models.load import LoadedModel
from profcore.models.molmoe import random_model
from profcore.models.prompt import ByteTokenizer
from profcore.service.words import environment_line
from profcore.spec.queries import Picture
from profcore.spec.runs import Target
from profcore.spec.settings import Setting
from profcore.spec.stages import Clock, State

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture(params=[(9, 0)])
def capability(request, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: request.param)
    monkeypatch.setattr(experts_room, "_tried", lambda device, dtype: "")


@pytest.mark.parametrize(
    ("engine", "dtype", "prefill", "decode"),
    [
        ("eager", torch.bfloat16, "grouped_mm", "batched_mm"),
        ("eager", torch.float32, "grouped_mm", "batched_mm"),
        ("graph", torch.bfloat16, "grouped_mm", "batched_mm"),
        ("graph", torch.float16, "batched_mm", "batched_mm"),
        ("compiled", torch.bfloat16, "grouped_mm", "batched_mm"),
    ],
)
def test_auto_is_what_generate_takes_for_each_stage(capability, engine, dtype, prefill, decode):
    found = resolve_experts("auto", GPU, dtype, engine)
    assert (found.prefill, found.decode) == (prefill, decode)
    assert bool(found.reason) == (prefill == "batched_mm")


def test_auto_on_a_cpu_where_generate_does_not_change_over():
    assert str(resolve_experts("auto", CPU, torch.float32, "eager")) == "grouped_mm"


@pytest.mark.parametrize("capability", [(7, 5)], indirect=True)
def test_an_architecture_without_grouped_products(capability):
    found = resolve_experts("auto", GPU, torch.float16, "eager")
    assert (found.prefill, found.decode) == ("eager", "batched_mm")
    assert found.reason == "cuda:0 has no grouped matrix products"
    with pytest.raises(UserError, match="no grouped matrix products: choose batched_mm or eager"):
        resolve_experts("grouped_mm", GPU, torch.float16, "eager")


def test_a_dtype_that_torch_does_not_group(capability, monkeypatch):
    monkeypatch.setattr(experts_room, "_tried", lambda device, dtype: "expected bfloat16")
    found = resolve_experts("auto", GPU, torch.float16, "eager")
    assert str(found) == "eager for prefill, batched_mm for decode"
    with pytest.raises(UserError, match=r"in float16 on cuda:0 \(expected bfloat16\): choose batched_mm or eager"):
        resolve_experts("grouped_mm", GPU, torch.float16, "eager")


@pytest.mark.parametrize(
    ("engine", "experts", "dtype", "says"),
    [
        ("graph", "eager", torch.bfloat16, "cannot capture eager experts in bfloat16: choose grouped_mm or batched_mm"),
        ("graph", "grouped_mm", torch.float32, "grouped_mm experts in float32: choose batched_mm"),
        ("compiled", "batched_mm", torch.bfloat16, "has experts of its own"),
        ("eager", "magic", torch.bfloat16, "Unknown experts"),
    ],
)
def test_experts_that_an_engine_cannot_run(capability, engine, experts, dtype, says):
    with pytest.raises(UserError, match=says):
        resolve_experts(experts, GPU, dtype, engine)


class TestMemory:
    FULL = PRESETS["molmoe-1b"]

    def check(self, experts, output_tokens=10, tokens=326):
        setting = Setting((1, 1), 8, (True,) * 16, output_tokens)
        check_memory(experts, self.FULL, torch.float16, GPU, tokens, setting)

    def test_a_prompt_whose_copied_weights_do_not_fit_is_refused(self, monkeypatch):
        monkeypatch.setattr(experts_room, "free_bytes", lambda device: 20 * 2**30)
        with pytest.raises(UserError, match=r"326 tokens at top-8 take 30\.6 GiB, and 20\.0 GiB of cuda:0 are free"):
            self.check(Experts.of("batched_mm"))
        with pytest.raises(UserError, match="cannot capture: choose bfloat16"):
            self.check(Experts("batched_mm", "batched_mm", "It cannot capture"))

    def test_what_copies_one_token_or_nothing_is_not(self, monkeypatch):
        monkeypatch.setattr(experts_room, "free_bytes", lambda device: 2**30)
        self.check(Experts("grouped_mm", "batched_mm"))
        self.check(Experts.of("eager"))
        self.check(Experts.of("batched_mm"), tokens=8)
        monkeypatch.setattr(experts_room, "free_bytes", lambda device: None)
        self.check(Experts.of("batched_mm"))


@pytest.fixture(scope="module")
def loaded():
    """A model of two blocks whose stages run two implementations, as on a GPU."""
    config = replace(PRESETS["tiny"], n_layers=2)
    model = random_model(config, CPU, torch.float32, "grouped_mm")
    model.use_experts(Experts("grouped_mm", "batched_mm", "a reason"))
    return LoadedModel(model, ByteTokenizer(config), "random")


@pytest.fixture(scope="module")
def inputs(loaded):
    return grid_inputs(loaded, load_picture(Picture("solid", "#808080")), (1, 1), "Where?")


@pytest.mark.parametrize("make", [EagerEngine, lambda model: GraphEngine(model, graphs=False)], ids=["eager", "graph"])
def test_each_stage_runs_its_own(loaded, inputs, make):
    model, used = loaded.model, []
    experts = model.llm.model.layers[0].mlp.experts
    hook = experts.register_forward_pre_hook(
        lambda module, given: used.append((given[0].shape[0] > 1, module.config._experts_implementation))
    )
    try:
        make(model).infer(inputs, Setting((1, 1), 2, (True, True), 4))
    finally:
        hook.remove()
    assert set(used) == {(True, "grouped_mm"), (False, "batched_mm")}
    assert model.llm.config._experts_implementation == "grouped_mm"


def test_a_setting_that_does_not_fit_is_refused_before_it_is_run(loaded, inputs, monkeypatch):
    monkeypatch.setattr(experts_room, "free_bytes", lambda device: 0)
    for engine in (EagerEngine(loaded.model), GraphEngine(loaded.model, graphs=False)):
        with pytest.raises(UserError, match="are free"):
            engine.prepare(inputs, Setting((1, 1), 2, (True, True), 4))


def test_the_environment_names_both_and_a_page_says_why(loaded):
    found = describe(Target(), loaded, EagerEngine(loaded.model), Clock.EVENTS).to_dict()
    assert found["experts"] == "grouped_mm for prefill, batched_mm for decode"
    assert "experts: grouped_mm for prefill, batched_mm for decode (a reason)" in environment_line(found, State.DONE)
    before = {**found, "experts": "grouped_mm", "experts_reason": None}
    assert "experts: grouped_mm ·" in environment_line(before, State.DONE)
