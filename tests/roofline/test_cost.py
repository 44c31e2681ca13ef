"""FLOPs, bytes and floors: against numbers worked out by hand, and against torch's own count on the real modules."""

import dataclasses

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import DynamicCache

from profcore.images.pictures import load_picture
from profcore.models.config import PRESETS
from profcore.models.experts import Experts
from profcore.models.inputs import grid_inputs
from profcore.models.knobs import turned
from profcore.models.recorded import run_shape
from profcore.roofline import cost
from profcore.roofline.cost import Cost, Workload
from profcore.spec.queries import Picture
from profcore.spec.records import Ceilings
from profcore.spec.settings import Setting
from profcore.spec.stages import Stage

FULL, TINY = PRESETS["molmoe-1b"], PRESETS["tiny"]
CEILINGS = Ceilings("a card", "bfloat16", 2000.0, 2500.0, 500.0, "2", "now")


def workload(**changes):
    return Workload(
        **{"num_crops": 2, "num_input_tokens": 355, "num_output_tokens": 2, "top_k": 8, "active_blocks": 16} | changes
    )


def test_decode_bytes_of_the_full_shape_by_hand():
    """One step of MolmoE-1B at top-8 over a prompt of 355 tokens, in bfloat16."""
    parts = cost.decode(FULL, workload(), 2)
    assert parts["projections"].read_bytes == 16 * 4 * 2048 * 2048 * 2
    assert parts["experts"].read_bytes == 16 * 8 * 3 * 2048 * 1024 * 2
    assert parts["router"].read_bytes == 16 * 64 * 2048 * 2
    assert parts["head"].read_bytes == 50304 * 2048 * 2
    # 355 tokens are in the cache, keys and values of 2048 each; the step adds its own.
    assert parts["cache"] == Cost(0, 16 * 2 * 355 * 2048 * 2, 16 * 2 * 2048 * 2)
    assert parts["embedding"].read_bytes == 2048 * 2
    # 0.537 + 1.611 + 0.004 + 0.206 + 0.047 GB
    assert cost.total(parts).bytes == pytest.approx(2.405e9, rel=1e-3)


def test_decode_flops_of_the_full_shape_by_hand():
    parts = cost.decode(FULL, workload(num_output_tokens=4), 2)
    assert parts["projections"].flops == 3 * 16 * 2 * 4 * 2048**2
    assert parts["experts"].flops == 3 * 16 * 8 * 2 * 3 * 2048 * 1024
    # The three steps look at 356, 357 and 358 tokens.
    assert parts["attention"].flops == 16 * 4 * 2048 * (356 + 357 + 358)
    assert parts["cache"].read_bytes == 16 * 2 * 2048 * 2 * (355 + 356 + 357)


def test_prefill_of_the_full_shape_by_hand():
    routed = (60, 64, *[50] * 14)
    parts = cost.prefill(FULL, workload(prefill_experts=routed), 2)
    assert parts["experts"].read_bytes == (60 + 64 + 14 * 50) * 3 * 2048 * 1024 * 2
    assert parts["experts"].flops == 16 * 355 * 8 * 2 * 3 * 2048 * 1024
    assert parts["attention"].flops == 16 * 4 * 2048 * 355 * 356 / 2
    # Logits are taken of the last token alone.
    assert parts["head"].flops == 2 * 2048 * 50304


def test_vision_encoder_of_the_full_shape_by_hand():
    parts = cost.vision_encoder(FULL, 13, 2, unread=True)
    assert parts["patch embedding"].flops == 13 * 576 * 2 * 588 * 1024
    assert parts["projections"].flops + parts["mlp"].flops == 23 * 13 * 577 * 2 * 12 * 1024**2
    assert parts["attention"].flops == 23 * 13 * 4 * 577**2 * 1024
    assert cost.total(parts).flops == pytest.approx(4.76e12, rel=0.01)
    # Features are taken of blocks 21 and 14, from 0: the last of 23 is no part of the floor.
    least = cost.vision_encoder(FULL, 13, 2)
    assert least["attention"].flops == 22 * 13 * 4 * 577**2 * 1024
    assert least["projections"].flops + least["mlp"].flops == 22 * 13 * 577 * 2 * 12 * 1024**2


def test_experts_that_an_even_router_is_expected_to_hit():
    assert cost.expected_experts(64, 8, 1) == 8
    assert cost.expected_experts(64, 64, 5) == 64
    assert cost.expected_experts(4, 1, 2) == pytest.approx(1.75)  # 1 + 3/4
    assert cost.prefill(FULL, workload(num_input_tokens=1), 2)["experts"].read_bytes == 16 * 8 * 3 * 2048 * 1024 * 2


def test_the_floor_is_the_longer_of_compute_and_memory():
    bound = cost.floor(Cost(flops=1e12, read_bytes=4e9, written_bytes=1e9), CEILINGS)
    assert (bound.compute_ms, bound.memory_ms) == (pytest.approx(2.0), pytest.approx(2.0))
    assert cost.floor(Cost(flops=3e12), CEILINGS).binds == "compute"
    assert cost.floor(Cost(flops=3e12), CEILINGS).ms == pytest.approx(6.0)
    assert cost.floor(Cost(read_bytes=1e9), CEILINGS).binds == "memory"


def test_what_binds():
    memory = cost.Floor(compute_ms=0.1, memory_ms=1.0)
    assert cost.binding(memory, 30.0, issue_ms=29.0) == "launch"
    assert cost.binding(memory, 1.5, issue_ms=1.4) == "launch"
    assert cost.binding(memory, 1.5, issue_ms=0.4) == cost.binding(memory, 1.5, issue_ms=None) == "memory"
    # Eight times what memory allows is bound by something else.
    assert cost.binding(memory, 8.0, issue_ms=0.4) == "neither"
    assert cost.binding(memory, 30.0, issue_ms=None) is None


@pytest.fixture(scope="module")
def inputs(tiny):
    return grid_inputs(tiny, load_picture(Picture()), (1, 2), "What is this?")


def counted(work):
    # torch counts no fused attention on a CPU, but the matrix products that it can be written as.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        result = work()
    return counter.get_total_flops(), result


@pytest.mark.parametrize(("top_k", "blocks"), [(1, 16), (8, 16), (3, 5)])
def test_flops_agree_with_torch_on_the_real_modules(tiny, inputs, top_k, blocks, request):
    model, tokens = tiny.model, inputs.num_input_tokens
    mask = tuple(index < blocks for index in range(16))
    work = workload(
        num_crops=inputs.num_crops, num_input_tokens=tokens, top_k=top_k, active_blocks=blocks, num_output_tokens=2
    )
    costs = cost.stage_costs(TINY, work, 4, unread=True)
    before = model.experts
    # torch counts no grouped products, but those of experts one by one.
    model.use_experts(Experts.of("eager"))
    request.addfinalizer(lambda: model.use_experts(before))
    with turned(model, Setting((1, 2), top_k, mask, 2)):
        vision, features = counted(lambda: model.encode(inputs.pixels))
        projected, image_tokens = counted(lambda: model.project(features, inputs.masks))
        cache, positions = DynamicCache(), torch.arange(tokens + 1)[None]

        def prefill():
            states = model.embed(inputs.input_ids, image_tokens, inputs.sources, inputs.positions)
            return model.logits(model.run_blocks(states, positions[:, :tokens], cache)[:, -1:])

        def decode():
            state = model.llm.model.embed_tokens(inputs.input_ids[:, :1])
            return model.logits(model.run_blocks(state, positions[:, tokens:], cache))

        filled, _ = counted(prefill)
        step, _ = counted(decode)
    assert cost.total(costs[Stage.VISION_ENCODER]).flops == vision
    assert cost.total(costs[Stage.PROJECTOR]).flops == projected
    # torch counts causal attention as if every token saw every other.
    causal = costs[Stage.LLM_PREFILL]["attention"].flops
    assert cost.total(costs[Stage.LLM_PREFILL]).flops - causal + causal * 2 * tokens / (tokens + 1) == filled
    assert cost.total(costs[Stage.LLM_DECODE]).flops == step


def test_weight_bytes_are_those_of_the_modules(tiny):
    """With every expert hit, each stage reads every weight of its modules but biases, norms and embeddings."""
    model = tiny.model

    def matrices(module):
        return sum(p.numel() * 4 for name, p in module.named_parameters() if p.ndim > 1 and "embed_tokens" not in name)

    work = workload(prefill_experts=(64,) * 16, num_crops=0, num_input_tokens=0)
    costs = cost.stage_costs(TINY, work, 4, unread=True)
    positions = model.vision.embeddings.position_embedding.weight.numel() * 4
    assert cost.total(costs[Stage.VISION_ENCODER]).bytes == matrices(model.vision) + TINY.vit_width * 4
    assert positions == 577 * TINY.vit_width * 4
    pads = model.projector.pad_embed.numel() * 4
    assert cost.total(costs[Stage.PROJECTOR]).bytes == matrices(model.projector) - pads
    assert cost.total(costs[Stage.LLM_PREFILL]).bytes == matrices(model.llm)


@pytest.mark.parametrize(
    "odd", [{"num_experts": "x"}, {"d_model": []}, {"n_layers": True}, {"vit_layers": ["a"]}, {"d_model": -1}]
)
def test_a_shape_that_can_be_none_is_not_known(odd):
    shape = dataclasses.asdict(PRESETS["tiny"])
    assert run_shape({"shape": shape}) == PRESETS["tiny"]
    assert run_shape({"shape": {**shape, **odd}}) is None
