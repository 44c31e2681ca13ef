"""FLOPs scaling and parameters, against the real modules and values worked out by hand."""

import pandas as pd
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from profcore.comparisons import flops_scaling
from profcore.images.pictures import load_picture
from profcore.models.config import PRESETS
from profcore.models.inputs import picture_inputs
from profcore.models.molmoe import MolmoE, building
from profcore.results.sweep import load_result
from profcore.roofline.flops import COLUMNS, sample_flops
from profcore.roofline.parameters import count_parameters
from profcore.spec.queries import Picture
from profcore.spec.settings import Setting
from profcore.storage.store import Store
from tests.comparisons.stored import import_file, published_topk, store_run
from tests.support import small_sweep

CONFIG = PRESETS["tiny"]


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_are_those_of_the_modules(name):
    config = PRESETS[name]
    with building(torch.device("meta"), torch.float32):
        model = MolmoE(config, "eager")

    def number(module):
        return sum(parameter.numel() for parameter in module.parameters())

    found = {each.component: each for each in count_parameters(config)}
    assert found["Vision encoder"].total == number(model.vision)
    assert found["Projector"].total == number(model.projector)
    layers = model.llm.model.layers
    assert found["LLM embedding"].total == number(model.llm.model.embed_tokens)
    assert found["LLM head"].total == number(model.llm.lm_head)
    assert found["LLM router"].total == sum(number(layer.mlp.gate) for layer in layers)
    assert found["LLM experts"].total == sum(number(layer.mlp.experts) for layer in layers)
    assert sum(each.total for each in found.values()) == number(model)
    assert found["LLM experts"].active * config.num_experts == found["LLM experts"].total * config.top_k
    assert sum(each.active for each in count_parameters(config, top_k=config.num_experts)) == number(model)


@pytest.mark.parametrize("top_k", [1, 8])
def test_flops_of_a_real_picture_are_those_that_torch_counts(tiny, top_k):
    """On the real modules, with the picture's own tiling; routed experts one by one, as the eager experts do it."""
    from profcore.engines import make_engine
    from profcore.models.experts import Experts
    from profcore.models.knobs import turned

    inputs = picture_inputs(tiny, load_picture(Picture("photo", "coffee")), CONFIG.max_crops, "What is in the cup?")
    setting = Setting((2, 3), top_k, (True,) * CONFIG.n_layers, 3)
    engine, before = make_engine("eager", tiny.model), tiny.model.experts
    # torch counts no fused attention on a CPU, but the matrix products that it can be written as; nor grouped products.
    tiny.model.use_experts(Experts.of("eager"))
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, turned(tiny.model, setting):
            engine.infer(inputs, setting)
    finally:
        tiny.model.use_experts(before)
    row = {
        "num_crops": inputs.num_crops,
        "num_input_tokens": inputs.num_input_tokens,
        "num_output_tokens": 3,
        "top_k": top_k,
        "active_blocks": CONFIG.n_layers,
    }
    ours = sample_flops(pd.DataFrame([row]), CONFIG)["flops_total"].iloc[0]
    # torch counts the whole square of causal attention, of which a token sees half.
    tokens, blocks, width = inputs.num_input_tokens, CONFIG.n_layers, CONFIG.d_model
    unseen = blocks * 4 * width * (tokens * tokens - tokens * (tokens + 1) / 2)
    assert counter.get_total_flops() == pytest.approx(ours + unseen, rel=1e-3)


def test_samples_that_do_not_say_what_they_did_have_no_flops():
    rows = pd.DataFrame(
        {
            "num_crops": [2, None],
            "num_input_tokens": [300, 300],
            "num_output_tokens": [1, 1],
            "top_k": [None, 8],
            "active_blocks": [None, 16],
        },
        index=[7, 9],
    )
    found = sample_flops(rows, CONFIG)
    assert found.index.tolist() == [7, 9]
    assert list(found) == list(COLUMNS)
    assert found["flops_total"].notna().tolist() == [True, False]
    # Without them, top-k and blocks are the model's own.
    full = sample_flops(rows.assign(top_k=8, active_blocks=16, num_crops=2), CONFIG)
    assert found["flops_total"].iloc[0] == full["flops_total"].iloc[0]


def samples(decode):
    """Five samples under each of some top-k, with decode latencies as given."""
    rows = []
    for top_k, latency in decode.items():
        for spread in (-0.02, -0.01, 0.0, 0.01, 0.02):
            row = {"top_k": top_k, "num_crops": 2, "num_input_tokens": 350, "num_output_tokens": 10}
            row |= {"active_blocks": CONFIG.n_layers, "vision_encoder_ms": 5.0, "projector_ms": 1.0}
            rows.append({**row, "llm_prefill_ms": 10.0, "llm_decode_ms": latency + spread, "total_ms": 16.0 + latency})
    return pd.DataFrame(rows)


def test_growth_is_measured_over_counted():
    found = flops_scaling.flops_scaling(samples({8: 40.0, 1: 20.0}), CONFIG).set_index("metric")
    decode = found.loc["llm_decode_ms"]
    width, expert, steps, blocks = CONFIG.d_model, 3 * CONFIG.d_model * CONFIG.expert_width, 9, CONFIG.n_layers
    context = sum(350 + step for step in range(1, steps + 1))
    dense = steps * 2 * width * CONFIG.embedding_size + steps * blocks * 2 * width * (4 * width + CONFIG.num_experts)
    dense += blocks * 4 * width * context
    each = steps * blocks * 2 * expert
    assert decode["theoretical"] == pytest.approx((dense + 8 * each) / (dense + each))
    assert (decode["measured"], decode["published"], decode["base"], decode["top_k"]) == (2.0, 8.0, 1, 8)
    assert decode["ratio"] == pytest.approx(2.0 / decode["theoretical"])
    assert decode["low"] < 2 < decode["high"]
    vision = found.loc["vision_encoder_ms"]
    assert (vision["theoretical"], vision["measured"], vision["ratio"]) == (1, 1, 1)


def test_counted_experts_set_the_bytes_of_prefill():
    blocks = CONFIG.n_layers
    even = flops_scaling.flops_scaling(samples({1: 20.0, 8: 40.0}), CONFIG).set_index("metric")
    routed = {1: [2] * blocks, 8: [16] * blocks}
    counted = flops_scaling.flops_scaling(samples({1: 20.0, 8: 40.0}), CONFIG, routed).set_index("metric")
    assert even.loc["llm_prefill_ms", "bytes"] == pytest.approx(1, abs=0.01)
    assert counted.loc["llm_prefill_ms", "bytes"] > 1.5
    assert counted.loc["llm_decode_ms", "bytes"] == even.loc["llm_decode_ms", "bytes"]


def test_sentences_say_what_the_ratio_means():
    theoretical = flops_scaling.flops_scaling(samples({1: 20.0, 8: 20.0}), CONFIG).set_index("metric")
    grown = theoretical.loc["llm_decode_ms", "theoretical"]

    def decode(latency):
        rows = flops_scaling.flops_scaling(samples({1: 20.0, 8: latency}), CONFIG)
        return next(text for text in flops_scaling.explain_scaling(rows) if text.startswith("LLM decode"))

    assert "latency follows the arithmetic" in decode(20 * grown)
    assert "grows less than the arithmetic" in decode(20.0)
    assert "grows faster than the arithmetic" in decode(100 * grown)
    assert "measured / theoretical is 1.00" in decode(20 * grown)
    assert "The published shortcut would say 8×" in decode(20.0)


def test_without_two_values_or_samples_there_is_nothing_to_say():
    assert flops_scaling.flops_scaling(samples({8: 20.0}), CONFIG).empty
    assert flops_scaling.flops_scaling(pd.DataFrame(), CONFIG).empty
    assert flops_scaling.explain_scaling(flops_scaling.flops_scaling(pd.DataFrame(), CONFIG)) == []


@pytest.mark.parametrize(
    "column", [{"active_blocks": 8}, {"output_tokens": 5}, {"grid_rows": 1, "grid_columns": 2}, {"block_mask": "01"}]
)
def test_growth_while_another_knob_moves_is_not_that_of_top_k(column):
    held = {"grid_rows": 1, "grid_columns": 1, "output_tokens": 10, "block_mask": "10"}
    still = samples({1: 20.0, 8: 40.0}).assign(**held)
    assert not flops_scaling.flops_scaling(still, CONFIG).empty
    assert flops_scaling.mixed_knobs(still) == ""
    moving = pd.concat([still[still["top_k"] == 1], still[still["top_k"] == 8].assign(**column)])
    assert flops_scaling.flops_scaling(moving, CONFIG).empty
    assert "it says nothing of top-k alone" in flops_scaling.mixed_knobs(moving)


def test_what_a_file_does_not_say_is_said_to_be_assumed(tmp_path):
    with Store(tmp_path / "data.duckdb") as store:
        file = load_result(store, import_file(store, published_topk(lambda top_k: 10.0)))
        own = load_result(store, store_run(store, small_sweep(), lambda setting: 10.0))
    assert flops_scaling.assumed(file) == (
        "This file does not say which model it measured: MolmoE-1B's shape is taken; nor how many blocks ran: all are "
        "taken; nor how many crops its picture had: two are taken, as a 1×1 grid has."
    )
    assert "blocks" not in flops_scaling.assumed(own)
