"""Work counted as it runs: beside MolmoE's own formulas, and on models of other families."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from profcore.engines.eager import EagerEngine
from profcore.engines.family_eager import FamilyEagerEngine
from profcore.engines.family_stages import FamilyStages
from profcore.images.pictures import load_picture
from profcore.measure.environment import shape_record
from profcore.measure.family_work import FamilyWorks
from profcore.measure.loop import run_sweep
from profcore.measure.telemetry import Telemetry
from profcore.measure.work import count_stages, whole_work
from profcore.models.config import PRESETS
from profcore.models.experts import Experts
from profcore.models.inputs import grid_inputs
from profcore.models.load import load_model
from profcore.roofline import cost
from profcore.spec.queries import Picture
from profcore.spec.runs import RunSpec, Sweep, Target
from profcore.spec.settings import Setting, first_blocks
from profcore.spec.stages import Stage, State
from tests.families import tiny
from tests.support import CEILINGS

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def molmoe():
    return load_model("tiny", CPU, torch.float32, "eager")


def work_of(loaded, setting):
    """The work of an inference by counting, and by MolmoE's formulas."""
    inputs = grid_inputs(loaded, load_picture(Picture()), setting.grid, "What is this?")
    step = replace(setting, output_tokens=2)
    works = EagerEngine(loaded.model).stage_works(inputs, step)
    counted = count_stages(loaded.model, works, loaded.model.projector)
    pixels = float(inputs.pixels.numel() * inputs.pixels.element_size())
    found = {each.stage: each for each in whole_work(counted, pixels, inputs.num_input_tokens, setting.output_tokens)}
    return found, inputs


@pytest.mark.parametrize(
    ("grid", "top_k", "blocks", "tokens"), [((1, 1), 8, 16, 10), ((1, 3), 2, 16, 2), ((2, 2), 8, 5, 40)]
)
def test_counted_work_is_that_of_the_formulas(molmoe, grid, top_k, blocks, tokens):
    from profcore.measure.routing import prefill_experts

    setting = Setting(grid, top_k, first_blocks(blocks, 16), tokens)
    found, inputs = work_of(molmoe, setting)
    workload = cost.Workload(
        inputs.num_crops,
        inputs.num_input_tokens,
        tokens,
        top_k,
        blocks,
        prefill_experts(molmoe.model, inputs, setting),
    )
    expected = cost.stage_costs(PRESETS["tiny"], workload, 4, unread=True)
    for stage, parts in expected.items():
        total = cost.total(parts)
        assert found[stage].flops == pytest.approx(total.flops, rel=0.02), stage
        assert found[stage].bytes == pytest.approx(total.bytes, rel=0.02), stage


def test_one_output_token_has_no_decode(molmoe):
    found, _ = work_of(molmoe, Setting((1, 1), 8, first_blocks(16, 16), 1))
    assert (found[Stage.LLM_DECODE].flops, found[Stage.LLM_DECODE].bytes) == (0.0, 0.0)


FAMILIES_CHECKED = ("qwen3_vl_moe", "qwen2_5_vl", "llava", "internvl", "smolvlm", "gemma3", "glm4v_moe", "mistral3")


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    """Gives a tiny model of a type, loaded once."""
    folder, known = tmp_path_factory.mktemp("families"), {}

    def loaded(model_type):
        if model_type not in known:
            file = folder / f"{model_type}.json"
            file.write_text(json.dumps(tiny(model_type)))
            known[model_type] = load_model(str(file), CPU, torch.float32, "eager")
        return known[model_type]

    return loaded


def family_setting(loaded, **changes):
    shape = loaded.model.config
    own = Setting((1, 1), shape.top_k, first_blocks(shape.n_layers, shape.n_layers), 4)
    return replace(own, **changes)


def family_work(loaded, setting, tokens=None):
    inputs = grid_inputs(loaded, load_picture(Picture()), setting.grid, "What is this?")
    given = setting if tokens is None else replace(setting, output_tokens=tokens)
    return {each.stage: each for each in FamilyWorks(loaded.model).of("here", inputs, given)}, inputs


@pytest.mark.parametrize("model_type", FAMILIES_CHECKED)
def test_prefill_is_the_products_of_its_matrices_and_the_pairs_of_its_mask(families, model_type):
    loaded = families(model_type)
    shape, text = loaded.model.config, loaded.model.hf.config.get_text_config()
    found, inputs = family_work(loaded, family_setting(loaded))
    tokens = inputs.num_input_tokens
    products = 0.0
    for layer in loaded.model.layers:
        for module in layer.modules():
            if isinstance(module, torch.nn.Linear):
                products += 2.0 * tokens * module.weight.numel()
            elif type(module).__name__.endswith("Experts"):
                one = sum(each.numel() for each in module.parameters() if each.dim() == 3) / shape.num_experts
                products += 2.0 * tokens * shape.top_k * one
            elif "router" in type(module).__name__.lower() and hasattr(module, "weight"):
                products += 2.0 * tokens * module.weight.numel()
    heads, width = text.num_attention_heads, loaded.model.layers[0].self_attn.head_dim
    pairs = tokens * (tokens + 1) / 2
    attention = shape.n_layers * 4.0 * heads * width * pairs
    head = 2.0 * loaded.model.hf.get_output_embeddings().weight.numel()
    expected = products + head + attention
    # Windows let fewer pairs through, and pictures that look both ways more.
    slack = attention if model_type == "gemma3" else 0.02 * expected
    assert found[Stage.LLM_PREFILL].flops == pytest.approx(expected, abs=slack)


@pytest.mark.parametrize("model_type", ["qwen3_vl_moe", "glm4v_moe"])
@pytest.mark.parametrize("experts", ["grouped_mm", "batched_mm"])
def test_experts_count_alike_whatever_runs_them(families, model_type, experts):
    loaded = families(model_type)
    setting = replace(family_setting(loaded), top_k=1)
    expected, _ = family_work(loaded, setting)
    loaded.model.use_experts(Experts.of(experts))
    try:
        found, _ = family_work(loaded, setting)
    finally:
        loaded.model.use_experts(Experts.of("eager"))
    assert found == expected
    assert expected[Stage.LLM_PREFILL].flops < family_work(loaded, family_setting(loaded))[0][Stage.LLM_PREFILL].flops


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
@pytest.mark.parametrize("model_type", FAMILIES_CHECKED)
def test_a_gpu_counts_as_a_cpu_does(families, model_type, tmp_path):
    """Whatever kernels its attention takes."""
    file = tmp_path / f"{model_type}.json"
    file.write_text(json.dumps(tiny(model_type)))
    there = load_model(str(file), torch.device("cuda", 0), torch.bfloat16, "eager")
    found, _ = family_work(there, family_setting(there))
    expected, _ = family_work(families(model_type), family_setting(families(model_type)))
    for stage, work in expected.items():
        assert found[stage].flops == pytest.approx(work.flops, rel=1e-6)


def test_a_vision_encoder_is_the_products_of_its_matrices_and_all_its_pairs(families):
    loaded = families("llava")
    found, inputs = family_work(loaded, family_setting(loaded))
    encoder, config = loaded.model.encoder, loaded.model.hf.config.vision_config
    places = (config.image_size // config.patch_size) ** 2
    rows, products = places + 1, 0.0
    for module in encoder.modules():
        if isinstance(module, torch.nn.Linear):
            products += 2.0 * rows * module.weight.numel()
        elif isinstance(module, torch.nn.Conv2d):
            products += 2.0 * places * module.weight.numel()
    attention = config.num_hidden_layers * 4.0 * rows**2 * config.hidden_size
    assert found[Stage.VISION_ENCODER].flops == pytest.approx(products + attention, rel=1e-6)
    weights = sum(each.numel() for each in encoder.parameters())
    read = weights + inputs.tensors["pixel_values"].numel()
    assert found[Stage.VISION_ENCODER].bytes == pytest.approx(4.0 * read, rel=0.2)
    assert found[Stage.VISION_ENCODER].bytes > 4.0 * inputs.tensors["pixel_values"].numel()


@pytest.mark.parametrize("model_type", ["llava", "internvl", "smolvlm"])
def test_a_decode_step_reads_the_language_model_once(families, model_type):
    loaded = families(model_type)
    one, inputs = family_work(loaded, family_setting(loaded), tokens=2)
    three, _ = family_work(loaded, family_setting(loaded), tokens=4)
    blocks = sum(each.numel() for layer in loaded.model.layers for each in layer.parameters())
    head = loaded.model.hf.get_output_embeddings().weight.numel()
    text = loaded.model.hf.config.get_text_config()
    heads, width = text.num_key_value_heads, loaded.model.layers[0].self_attn.head_dim
    cache = 2 * len(loaded.model.layers) * heads * width * (inputs.num_input_tokens + 1)
    assert one[Stage.LLM_DECODE].bytes == pytest.approx(4.0 * (blocks + head + cache), rel=0.01)
    assert three[Stage.LLM_DECODE].bytes > 3 * one[Stage.LLM_DECODE].bytes


@pytest.mark.parametrize("model_type", FAMILIES_CHECKED)
def test_longer_answers_follow_from_one_step(families, model_type):
    """Decode of four tokens, counted step by step, is what one step says of it."""
    loaded = families(model_type)
    setting = family_setting(loaded)
    followed, inputs = family_work(loaded, setting)
    model = loaded.model
    works = FamilyStages(model, inputs, setting).works()
    counted = count_stages(model.hf, works, model.projector)[Stage.LLM_DECODE]
    flops = counted.flops + sum(per * pairs for per, pairs in counted.attention)
    assert followed[Stage.LLM_DECODE].flops == pytest.approx(flops, rel=1e-6)


@pytest.mark.parametrize(("model_type", "tokens"), [("llava", 12), ("gemma3", 10), ("gemma3", 40), ("mistral3", 6)])
def test_a_window_that_fills_while_an_answer_grows_is_read_as_far_as_it_goes(families, model_type, tokens):
    loaded = families(model_type)
    setting = family_setting(loaded, output_tokens=tokens)
    followed, inputs = family_work(loaded, setting)
    works = FamilyStages(loaded.model, inputs, setting).works()
    counted = count_stages(loaded.model.hf, works, loaded.model.projector)[Stage.LLM_DECODE]
    flops = counted.flops + sum(per * pairs for per, pairs in counted.attention)
    read = sum(size for size, *_ in counted.cache_read)
    moved = (tokens - 1) * sum(counted.touched.values()) + counted.cache_written + read
    assert followed[Stage.LLM_DECODE].flops == pytest.approx(flops, rel=1e-9)
    assert followed[Stage.LLM_DECODE].bytes == pytest.approx(moved, rel=1e-9)


def test_knobs_change_the_work_as_they_should(families):
    loaded = families("qwen3_vl_moe")
    whole, _ = family_work(loaded, family_setting(loaded))
    one, _ = family_work(loaded, family_setting(loaded, top_k=1))
    half, _ = family_work(loaded, family_setting(loaded, block_mask=first_blocks(1, 3)))
    wide, _ = family_work(loaded, family_setting(loaded, grid=(1, 2)))
    prefill, vision = Stage.LLM_PREFILL, Stage.VISION_ENCODER
    assert one[prefill].flops < whole[prefill].flops
    assert one[vision].flops == whole[vision].flops
    assert half[prefill].flops < whole[prefill].flops / 2
    assert wide[vision].flops > 2 * whole[vision].flops
    assert one[Stage.LLM_DECODE].bytes < whole[Stage.LLM_DECODE].bytes
    assert all(each.bytes > 0 for each in whole.values())


def test_a_run_of_a_family_has_floors(families, tmp_path):
    from profcore.results.sweep import load_result
    from profcore.storage import spool
    from profcore.storage.store import Store
    from profcore.worker.execute import write_result

    loaded = families("internvl")
    setting = family_setting(loaded)
    sweep = Sweep("output_tokens", (setting, replace(setting, output_tokens=2)), num_samples=1, warmup=0)
    spec = RunSpec.new(Target("x", "cpu"), sweep)
    with Store(tmp_path / "p.duckdb") as store:
        with spool.SpoolWriter(spool.spool_path(store.spools, spec.id)) as writer:
            writer.run(spec)
            shape = shape_record(loaded.model.config)
            writer.write({"type": "environment", "model": "x", "dtype": "float32", "shape": shape})
            writer.ceilings(CEILINGS)
            for result in run_sweep(loaded, FamilyEagerEngine(loaded.model), sweep, Telemetry(CPU), lambda: False):
                write_result(writer, result)
            writer.state(State.DONE)
        store.take_in_all()
        summary = load_result(store, spec.id).summary
        assert store.settings(spec.id)["llm_prefill_flops"].gt(0).all()
    floors = summary.set_index(["setting", "metric"])["floor_ms"]
    assert all(
        floors[0, metric] > 0 for metric in ("vision_encoder_ms", "projector_ms", "ttft_ms", "tpot_ms", "total_ms")
    )
    assert floors[0, "llm_decode_ms"] == pytest.approx(3 * floors[1, "llm_decode_ms"], rel=0.01)
    assert floors[0, "ttft_ms"] == pytest.approx(floors[1, "ttft_ms"])
