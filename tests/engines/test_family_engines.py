"""Engines of vision-language models of transformers, on a tiny configuration of each family."""

from collections import Counter

import pytest
import torch
import transformers
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.cache_utils import StaticLayer

from profcore.engines import family_session, family_steps, make_engine
from profcore.engines.base import PreparationError, StopRequestedError
from profcore.engines.family_graph import FamilyGraphEngine
from profcore.engines.family_stages import Seen, watched
from profcore.engines.looks import looks_at_values
from profcore.errors import ModelError, UserError
from profcore.measure.clock import make_clock
from profcore.models.families.inputs import family_inputs, fit_to_units
from profcore.models.families.loading import random_family
from profcore.models.families.shape import shape_of
from profcore.models.load import LoadedModel
from profcore.models.prompt import ByteTokenizer
from profcore.spec.settings import Setting
from profcore.spec.stages import MODEL_STAGES, Clock, Stage
from tests.families import TINY, tiny

CPU = torch.device("cpu")
PICTURE = Image.linear_gradient("L").convert("RGB").resize((640, 480))
FIRST, MIDDLE = (False, True, True), (True, False, True)


class Ready:
    """A model of a family, inputs of one unit, and its own setting."""

    def __init__(self, model_type, device=CPU, dtype=torch.float32, experts="grouped_mm"):
        shape = shape_of(model_type, tiny(model_type))
        self.model = random_family(shape, device, dtype, experts)
        self.loaded = LoadedModel(self.model, ByteTokenizer(shape), "random")
        self.inputs = family_inputs(self.loaded, fit_to_units(shape, PICTURE, (1, 1)), "Describe this.", (1, 1))
        self.shape, self.eager = shape, make_engine("eager", self.model)

    def setting(self, tokens=5, mask=(True,) * 3, top_k=None):
        return Setting((1, 1), top_k or self.shape.top_k, mask, tokens)


# Of families with a near relation among the others.
ALIKE = ("qwen3_vl", "qwen2_vl", "glm4v", "idefics3", "llava_next", "gemma4")
EACH = [pytest.param(name, marks=pytest.mark.long) if name in ALIKE else name for name in TINY]


@pytest.fixture(scope="module", params=EACH)
def ready(request):
    return Ready(request.param)


@pytest.mark.parametrize("clock", Clock)
def test_stages_and_steps(ready, clock):
    taking = make_clock(clock, CPU)
    ready.eager.infer(ready.inputs, ready.setting(5), taking)
    timing = taking.read()
    assert set(timing.stages) == set(MODEL_STAGES)
    assert all(each > 0 for each in timing.stages.values())
    assert sum(timing.stages.values()) + timing.other == pytest.approx(timing.total)
    assert timing.other >= 0
    if clock is Clock.EVENTS:
        assert len(timing.steps) == 4


def test_tokens_are_those_of_generate(ready):
    tokens, logits = ready.eager.infer(ready.inputs, ready.setting(6), keep_logits=True)
    theirs = ready.model.hf.generate(**ready.inputs.tensors, max_new_tokens=6, do_sample=False)[0, -6:]
    assert tokens.tolist() == theirs.tolist()
    assert len(logits) == 6
    assert torch.stack(logits).argmax(-1).tolist() == tokens.tolist()


@pytest.mark.parametrize("mask", [(True,) * 3, FIRST, MIDDLE])
def test_cached_decode_with_a_block_left_out_is_a_whole_recomputation(ready, mask):
    setting = ready.setting(4, mask)
    tokens, logits = ready.eager.infer(ready.inputs, setting, keep_logits=True)
    given = dict(ready.inputs.tensors)
    given["input_ids"] = torch.cat([given["input_ids"], tokens[None, :3]], 1)
    given["attention_mask"] = torch.ones_like(given["input_ids"])
    for name in ready.shape.kind.token_types:
        given[name] = torch.cat([given[name], torch.zeros(1, 3, dtype=torch.int64)], 1)
    with ready.model.turned(setting), torch.no_grad():
        whole = ready.model.hf(**given, use_cache=False).logits[0, -4:]
    assert torch.allclose(torch.stack(logits), whole, atol=1e-4)


def test_a_block_left_out_changes_the_answer_and_comes_back(ready):
    def first(mask):
        return ready.eager.infer(ready.inputs, ready.setting(1, mask), keep_logits=True)[1][0]

    everything = first((True,) * 3)
    for mask in (FIRST, MIDDLE):
        assert (first(mask) - everything).abs().max() > 1e-3
    assert torch.equal(first((True,) * 3), everything)


def test_top_k_is_what_the_experts_are_given(ready):
    if not ready.shape.num_experts:
        pytest.skip("this family has no experts")
    modules = [module for block in ready.model.expert_modules() for module in block]
    assert modules
    for top_k in (1, ready.shape.top_k, 5):
        seen = []
        hooks = [each.register_forward_pre_hook(lambda _, given, seen=seen: seen.append(given[1])) for each in modules]
        ready.eager.infer(ready.inputs, ready.setting(3, top_k=top_k))
        for hook in hooks:
            hook.remove()
        assert {each.shape[1] for each in seen} == {top_k}


def test_stages_one_by_one(ready):
    works = ready.eager.stage_works(ready.inputs, ready.setting(3))
    assert list(works) == list(MODEL_STAGES)
    for work in (*works.values(), *works.values()):
        work()
    assert Stage.LLM_DECODE not in ready.eager.stage_works(ready.inputs, ready.setting(1))


def calls_of(model, work):
    """How often each module runs, those apart that other pieces stand in for: encoder and projector as wholes."""
    calls = Counter()
    wholes = {id(each) for each in (model.hf, model.base, model.encoder, model.projector)}
    named = [(name, module) for name, module in model.hf.named_modules() if id(module) not in wholes]
    hooks = [module.register_forward_pre_hook(lambda *_, name=name: calls.update([name])) for name, module in named]
    work()
    for hook in hooks:
        hook.remove()
    return calls


@pytest.mark.parametrize("engine", ["eager", "graph"])
def test_stages_one_by_one_run_each_module_as_often_as_an_inference(ready, engine):
    """So that joules of a stage hold nothing of another, as of an encoder that its projector lies inside of."""
    engine = ready.eager if engine == "eager" else FamilyGraphEngine(ready.model, graphs=False)
    setting = ready.setting(3)
    works = engine.stage_works(ready.inputs, setting)
    for work in works.values():
        work()
    of_stages = {stage: calls_of(ready.model, work) for stage, work in works.items()}
    whole = calls_of(ready.model, lambda: engine.infer(ready.inputs, setting))
    assert sum(of_stages.values(), Counter()) == whole
    assert all(of_stages.values())


@pytest.mark.parametrize(
    "mask", [FIRST, *(pytest.param(each, marks=pytest.mark.long) for each in ((True,) * 3, MIDDLE))]
)
def test_what_would_be_captured_gives_what_eager_gives(ready, mask):
    """Without graphs the same pieces run over the same tensors of fixed places."""
    engine = FamilyGraphEngine(ready.model, graphs=False)
    setting = ready.setting(6, mask)
    tokens, logits = ready.eager.infer(ready.inputs, setting, keep_logits=True)
    for _ in range(2):
        clock = make_clock(Clock.EVENTS, CPU)
        others, other_logits = engine.infer(ready.inputs, setting, clock, keep_logits=True)
        timing = clock.read()
        assert others.tolist() == tokens.tolist()
        assert torch.allclose(torch.stack(other_logits), torch.stack(logits), atol=1e-4)
        assert len(timing.steps) == 5
        assert all(each > 0 for each in timing.stages.values())
    works = engine.stage_works(ready.inputs, setting)
    for work in (*works.values(), *works.values()):
        work()
    assert engine.infer(ready.inputs, setting)[0].tolist() == tokens.tolist()


@pytest.mark.parametrize(
    ("model_type", "stages"),
    [
        ("llava", set()),
        ("qwen2_vl", {Stage.VISION_ENCODER, Stage.PROJECTOR}),
        ("qwen3_vl", {Stage.VISION_ENCODER, Stage.PROJECTOR, Stage.LLM_PREFILL}),
    ],
)
def test_stages_whose_code_looks_at_a_value_are_said_with_the_line(model_type, stages):
    ready = Ready(model_type)
    reasons = FamilyGraphEngine(ready.model, graphs=False).reasons(ready.inputs, ready.setting(3))
    assert set(reasons) == stages
    assert all(f"modeling_{model_type}.py, line " in reason for reason in reasons.values())


class Operations(TorchDispatchMode):
    """Counts what runs, views apart."""

    def __init__(self):
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        self.number += function.overloadpacket.__name__ not in ("as_strided", "detach", "alias")
        return function(*arguments, **(keywords or {}))


def operations(work):
    with Operations() as counting, torch.no_grad():
        work()
    return counting.number


@pytest.mark.parametrize("engine", ["eager", "graph"])
def test_what_lies_between_encoder_and_projector_is_in_one_of_them_alone(ready, engine):
    """As InternVL's shuffle of pixels, which its encoder's output goes through before the projector."""
    engine = ready.eager if engine == "eager" else FamilyGraphEngine(ready.model, graphs=False)
    setting, seen = ready.setting(2), Seen()
    works = engine.stage_works(ready.inputs, setting)
    with watched(ready.model, seen):
        ready.eager.infer(ready.inputs, setting)
    arguments, keywords, _ = seen.features
    for work in works.values():
        work()
    both = [operations(works[stage]) for stage in (Stage.VISION_ENCODER, Stage.PROJECTOR)]
    with ready.model.turned(setting):
        whole = operations(lambda: ready.model.base.get_image_features(*arguments, **keywords))
        between = whole - operations(lambda: ready.model.projector(*seen.projected[0], **seen.projected[1]))
    assert sum(both) <= whole
    # Of what comes before the projector nothing is left out: what is missing follows it.
    assert both[0] <= between


def test_a_projector_whose_output_is_made_into_more_is_not_captured(monkeypatch):
    """It could not be run without what is before it; as they run a clock tells where one ends."""
    ready = Ready("qwen2_5_vl")
    monkeypatch.setattr(family_session, "looks_at_values", lambda work: work() or "")
    reasons = FamilyGraphEngine(ready.model, graphs=False).reasons(ready.inputs, ready.setting(3))
    said = "what follows its projector cannot be run by itself"
    assert reasons == {Stage.VISION_ENCODER: said, Stage.PROJECTOR: said}


def test_looking_at_a_value():
    tensor = torch.arange(3)
    assert looks_at_values(lambda: tensor + 1) == ""
    assert looks_at_values(lambda: tensor.sum().item()) == "local_scalar_dense"
    assert looks_at_values(lambda: tensor.tolist()) == "tolist"
    assert looks_at_values(lambda: tensor[tensor > 1]) == "index"
    assert looks_at_values(lambda: tensor[torch.tensor([1])]) == ""
    assert looks_at_values(lambda: tensor.to("meta")) == "to_copy"
    assert looks_at_values(lambda: tensor.to(torch.float64)) == ""


def test_a_model_that_a_static_cache_changes_is_refused(small, monkeypatch):
    real = StaticLayer.update

    def spoilt(self, keys, values, *rest, **more):
        return real(self, keys, 2 * values, *rest, **more)

    monkeypatch.setattr(StaticLayer, "update", spoilt)
    engine = FamilyGraphEngine(small.model, graphs=False)
    with pytest.raises(PreparationError, match=r"over a static cache its logits differ by \d+\.\d% of the largest"):
        engine.infer(small.inputs, small.setting(3))


def test_a_model_that_rounding_changes_as_much_is_not_refused(monkeypatch):
    ready = Ready("smolvlm", dtype=torch.bfloat16)
    setting = ready.setting(2)
    monkeypatch.setitem(family_steps._TOLERANCES, torch.bfloat16, 0.0)
    rounded = family_steps._rounded(ready.inputs, seed=99)
    _, logits = ready.eager.infer(rounded, setting, keep_logits=True)
    assert not torch.equal(logits[0], ready.eager.infer(ready.inputs, setting, keep_logits=True)[1][0])
    family_steps.check_static(ready.model, ready.inputs, setting, logits)
    with pytest.raises(PreparationError, match="its logits differ by"):
        family_steps.check_static(ready.model, ready.inputs, setting, [2 * each for each in logits])


def test_sessions_are_let_go_above_a_bound(monkeypatch):
    monkeypatch.setattr("profcore.engines.family_graph._MOST_SESSIONS", 1)
    ready = Ready("llava")
    engine = FamilyGraphEngine(ready.model, graphs=False)
    for tokens in (2, 3, 2):
        answer, _ = engine.infer(ready.inputs, ready.setting(tokens))
        assert answer.tolist() == ready.eager.infer(ready.inputs, ready.setting(tokens))[0].tolist()
        assert len(engine._sessions) == 1
        assert len(engine._captures) == 4


@pytest.fixture(scope="module")
def small():
    return Ready("smolvlm")


def test_an_inference_can_be_stopped(small):
    for engine in (small.eager, FamilyGraphEngine(small.model, graphs=False)):
        with pytest.raises(StopRequestedError):
            engine.infer(small.inputs, small.setting(4), stop=lambda: True)


def test_engines_that_are_of_molmoe_alone(small):
    for name in ("compiled", "generate"):
        with pytest.raises(UserError, match="MolmoE alone"):
            make_engine(name, small.model)
    with pytest.raises(UserError, match="needs a GPU"):
        make_engine("graph", small.model)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
@pytest.mark.parametrize("model_type", TINY)
def test_graph_is_eager_on_a_gpu(model_type):
    # In float32, where rounding never decides which experts a token goes to.
    try:
        ready = Ready(model_type, torch.device("cuda", 0), experts="batched_mm")
    except ModelError as error:
        pytest.skip(str(error))
    engine = make_engine("graph", ready.model)
    if model_type == "gemma4" and transformers.__version__.startswith("5.17."):
        with pytest.raises(PreparationError, match="over a static cache"):
            engine.infer(ready.inputs, ready.setting(6))
        return
    for mask in ((True,) * 3, FIRST):
        setting = ready.setting(6, mask)
        _, logits = ready.eager.infer(ready.inputs, setting, keep_logits=True)
        _, others = engine.infer(ready.inputs, setting, keep_logits=True)
        for one, other in zip(logits, others, strict=True):
            assert torch.allclose(other, one, atol=2e-3)
        assert Stage.LLM_DECODE not in engine.reasons(ready.inputs, setting)
