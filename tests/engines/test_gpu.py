"""What only a GPU can show; skipped where there is none."""

import gzip
import json

import numpy as np
import pytest
import torch

from profcore.bench.truth import against_bare, against_profiler, recovered
from profcore.engines.eager import EagerEngine
from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings
from profcore.images.pictures import load_picture
from profcore.inspectors.parity import against_eager, every_knob
from profcore.measure.ceilings import measure_ceilings
from profcore.measure.clock import make_clock
from profcore.measure.energy import EnergyPass, energy_refusal
from profcore.measure.loop import Routing, SettingFailed, run_sweep
from profcore.measure.telemetry import Telemetry
from profcore.models.config import PRESETS
from profcore.models.inputs import grid_inputs
from profcore.roofline import cost
from profcore.spec.queries import Picture
from profcore.spec.records import STAGE_PEAKS, Sample
from profcore.spec.runs import Sweep, Target
from profcore.spec.settings import Setting
from profcore.spec.stages import Clock, Stage
from profcore.stats import median_interval
from profcore.worker.tools import run_tool
from tests.support import small_sweep

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")


@pytest.fixture(scope="module")
def loaded(shelf):
    return shelf.get(Target(device="cuda:0"))


def measured(results):
    return [result for result in results if isinstance(result, Sample)]


@pytest.mark.parametrize("clock", Clock)
def test_the_stages_and_other_add_up_to_the_total(loaded, clock):
    telemetry = Telemetry(torch.device("cuda", 0))
    sweep = small_sweep("output_tokens", (1, 4), clock=clock, warmup=1)
    for sample in measured(run_sweep(loaded, EagerEngine(loaded.model), sweep, telemetry, bool)):
        stages = [getattr(sample, stage.column) for stage in Stage]
        assert sum(stages) == pytest.approx(sample.total_ms, abs=1e-6)
        assert min(stages) >= 0
        assert len(sample.decode_steps_ms) == (sample.num_output_tokens - 1 if clock is Clock.EVENTS else 0)
        assert sample.peak_memory_bytes > 0
        assert sample.telemetry["sm_clock_mhz"] > 0


def test_the_two_clocks_agree_on_a_gpu_that_is_kept_busy(loaded):
    """Prefill of the widest grid, where waiting between stages costs little of it."""
    medians = {}
    for clock in Clock:
        sweep = small_sweep("context_scaling", (12,), num_samples=15, clock=clock, warmup=3)
        engine = EagerEngine(loaded.model)
        samples = measured(run_sweep(loaded, engine, sweep, Telemetry(torch.device("cpu")), bool))
        totals = sorted(sample.total_ms for sample in samples)
        medians[clock] = totals[len(totals) // 2]
    assert medians[Clock.EVENTS] == pytest.approx(medians[Clock.PUBLISHED], rel=0.5)


def test_a_setting_whose_experts_do_not_fit_the_memory_fails_alone(shelf):
    """The batched experts gather a copy of the weights for every token: the widest grid does not fit any card."""
    target = Target("molmoe-1b", "cuda:0", experts="batched_mm")
    if torch.cuda.get_device_properties(0).total_memory < 60 * 2**30:
        pytest.skip("this card is too small for the full shape's smallest grid with batched experts")
    loaded = shelf.get(target)
    experiment = CATALOGUE["context_scaling"]
    settings = build_settings(experiment, (1, 12), base_setting(experiment, PRESETS["molmoe-1b"]))
    sweep, telemetry = Sweep(experiment.name, settings, 2), Telemetry(torch.device("cpu"))
    results = list(run_sweep(loaded, EagerEngine(loaded.model), sweep, telemetry, bool))
    failed = [result for result in results if isinstance(result, SettingFailed)]
    assert [result.setting for result in failed] == [1]
    assert "batched_mm experts copy the weights" in failed[0].reason
    assert [result.setting for result in results if isinstance(result, Sample)] == [0, 0]


def test_the_full_shape_is_made_without_a_float32_copy(shelf):
    shelf.get(Target("tiny", "cuda:0"))
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    model = shelf.get(Target("molmoe-1b", "cuda:0")).model
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert torch.cuda.max_memory_allocated() < 1.1 * weights


@pytest.mark.parametrize("engine", ["graph", "compiled"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_engines_give_what_eager_gives_at_every_knob(shelf, engine, dtype):
    target = Target("tiny", "cuda:0", dtype, engine)
    loaded, made = shelf.get(target), shelf.engine(target)
    for setting in every_knob(loaded.model.config):
        difference = against_eager(loaded, made, setting)
        assert difference.passed, (engine, difference)


@pytest.mark.parametrize("engine", ["graph", "compiled"])
def test_engines_give_what_eager_gives_at_full_shape(shelf, engine):
    target = Target("molmoe-1b", "cuda:0", engine=engine)
    loaded, made = shelf.get(target), shelf.engine(target)
    for setting in every_knob(loaded.model.config):
        difference = against_eager(loaded, made, setting)
        assert difference.passed, (engine, difference)


def test_compiled_is_as_near_to_float32_as_eager_is(shelf):
    """Rounding differs between the two, and neither is the truth: both are held against float32."""
    errors = {}
    setting = every_knob(PRESETS["tiny"])[0]
    exact = shelf.get(Target("tiny", "cuda:0", "float32")).model
    weights = {name: value.clone() for name, value in exact.state_dict().items()}
    truth = None
    for dtype, engine in (("float32", "eager"), ("bfloat16", "eager"), ("bfloat16", "compiled")):
        target = Target("tiny", "cuda:0", dtype, engine)
        loaded = shelf.get(target)
        loaded.model.load_state_dict(weights)
        inputs = grid_inputs(loaded, load_picture(Picture()), setting.grid, "What is this?")
        logits = shelf.engine(target).infer(inputs, setting, keep_logits=True)[1][0].float()
        truth = logits if truth is None else truth
        errors[dtype, engine] = (logits - truth).pow(2).mean().sqrt().item()
    assert errors["bfloat16", "compiled"] <= 1.5 * errors["bfloat16", "eager"]


@pytest.mark.parametrize("engine", ["eager", "graph", "compiled"])
def test_nothing_is_faster_than_its_floor(shelf, engine):
    target = Target("molmoe-1b", "cuda:0", engine=engine)
    loaded, made = shelf.get(target), shelf.engine(target)
    ceilings = measure_ceilings(loaded.model.device, loaded.model.dtype)
    for name, values in (("moe_topk", (1, 32)), ("context_scaling", (1, 12)), ("transformer_blocks_mask", (1, 16))):
        experiment = CATALOGUE[name]
        settings = build_settings(experiment, values, base_setting(experiment, loaded.model.config))
        results = list(run_sweep(loaded, made, Sweep(name, settings, 3), Telemetry(torch.device("cpu")), bool))
        routed = {result.setting: result.prefill_experts for result in results if isinstance(result, Routing)}
        for sample in measured(results):
            setting = settings[sample.setting]
            work = cost.Workload(
                sample.num_crops,
                sample.num_input_tokens,
                setting.output_tokens,
                setting.top_k,
                setting.active_blocks,
                routed[sample.setting],
            )
            for stage, parts in cost.stage_costs(loaded.model.config, work, 2).items():
                floor = cost.floor(cost.total(parts), ceilings).ms
                assert getattr(sample, stage.column) >= floor, (engine, setting, stage)


def test_a_setting_that_cannot_be_captured_fails_alone(shelf, monkeypatch):
    target = Target("tiny", "cuda:0", engine="graph")
    loaded, made = shelf.get(target), shelf.engine(target)
    original = made.decode

    def decode(length, setting):
        if setting.top_k == 2:
            torch.zeros(1, device="cuda").item()  # which waits for the device, as no graph may
        original(length, setting)

    monkeypatch.setattr(made, "decode", decode)
    sweep = small_sweep("moe_topk", (1, 2, 3), num_samples=2)
    results = list(run_sweep(loaded, made, sweep, Telemetry(torch.device("cpu")), bool))
    failed = [result for result in results if isinstance(result, SettingFailed)]
    assert [result.setting for result in failed] == [1]
    assert "could not be compiled and captured" in failed[0].reason
    assert sorted(sample.setting for sample in measured(results)) == [0, 0, 2, 2]


@pytest.mark.parametrize(("engine", "experts"), [("compiled", "grouped_mm"), ("graph", "eager")])
def test_experts_that_an_engine_cannot_run(shelf, engine, experts):
    with pytest.raises(UserError, match="experts"):
        shelf.engine(Target("tiny", "cuda:0", engine=engine, experts=experts))


@pytest.mark.parametrize("engine", ["eager", "graph", "compiled"])
def test_a_profile_pass_knows_stages_and_parts(shelf, engine, tmp_path):
    target = Target("tiny", "cuda:0", engine=engine)
    arguments = {"setting": Setting((1, 1), 8, (True,) * 16, 4).to_dict(), "trace": str(tmp_path / "t.json.gz")}
    found = run_tool("profile", shelf, target, arguments, lambda text: None)
    assert [stage["stage"] for stage in found["stages"]] == [str(stage) for stage in Stage if stage is not Stage.OTHER]
    assert all(0 < stage["busy_share"] <= 1 and stage["kernels"] > 0 for stage in found["stages"])
    decode = {part["part"] for part in found["parts"] if part["stage"] == "llm_decode"}
    assert {"attention", "router", "experts"} <= decode
    assert found["launch_bound"] == (engine == "eager")
    assert json.loads(gzip.decompress((tmp_path / "t.json.gz").read_bytes()))["traceEvents"]


def test_known_durations_are_recovered_within_their_interval(loaded):
    """Spinning kernels and a waiting host; the interval widened by what a card's clock moves while it is calibrated."""
    setting = Setting((1, 1), 8, (True,) * 16, 10)
    inputs = grid_inputs(loaded, load_picture(Picture()), setting.grid, "Where?")
    for label, asked, values in recovered(inputs, setting):
        found = median_interval(np.array(values))
        assert 0.99 * found.low - 0.02 <= asked <= 1.01 * found.high + 0.02, (label, asked, found)


def test_stages_are_the_span_of_their_kernels_and_the_total_is_a_bare_inference(shelf):
    target = Target("molmoe-1b", "cuda:0", engine="compiled")
    loaded, engine = shelf.get(target), shelf.engine(target)
    setting = Setting((1, 12), 8, (True,) * 16, 1)
    inputs = grid_inputs(loaded, load_picture(Picture()), setting.grid, "Where?")
    engine.prepare(inputs, setting)
    (stages,) = against_profiler(loaded, engine, inputs, setting)
    assert 0.97 <= stages.value <= 1.03, stages
    (total,) = against_bare(loaded, engine, inputs, setting)
    assert 0.99 <= total.value <= 1.01, total


def test_generate_with_a_static_cache_gives_eagers_first_token_and_every_step(shelf):
    target = Target("tiny", "cuda:0", "float32", "generate")
    loaded, engine = shelf.get(target), shelf.engine(target)
    setting = Setting((1, 1), 8, (True,) * 16, 6)
    inputs = grid_inputs(loaded, load_picture(Picture()), setting.grid, "Where?")
    engine.prepare(inputs, setting)
    clock = make_clock(Clock.EVENTS, loaded.model.device)
    tokens, _ = engine.infer(inputs, setting, clock)
    expected, _ = EagerEngine(loaded.model).infer(inputs, setting)
    assert tokens.tolist() == expected.tolist()
    assert len(clock.read().steps) == 5


def test_a_float16_prefill_of_the_graph_engine_is_refused_before_memory_runs_out(shelf):
    target = Target("molmoe-1b", "cuda:0", "float16", "graph")
    loaded, engine = shelf.get(target), shelf.engine(target)
    inputs = grid_inputs(loaded, load_picture(Picture()), (1, 12), "Where?")
    with pytest.raises(UserError, match="cannot capture grouped_mm experts in float16"):
        engine.prepare(inputs, Setting((1, 12), 8, (True,) * 16, 1))


def test_eager_decodes_with_other_experts_than_it_prefills_with(shelf):
    target = Target("tiny", "cuda:0")
    shelf.get(target)
    assert shelf.engine(target).experts == "grouped_mm for prefill, batched_mm for decode"


@pytest.fixture(scope="module", params=["eager", "graph", "compiled"])
def target(request):
    return Target(device="cuda:0", engine=request.param)


def test_the_card_says_its_state_and_each_stage_its_peak_memory(shelf, target):
    loaded, engine = shelf.get(target), shelf.engine(target)
    sweep = small_sweep("output_tokens", (1, 4), warmup=2)
    samples = measured(run_sweep(loaded, engine, sweep, Telemetry(loaded.model.device), bool))
    for sample in samples:
        said = sample.telemetry
        assert min(said["memory_clock_mhz"], said["memory_used_bytes"], said["power_w"], said["temperature_c"]) > 0
        assert said.get("other_processes", 0) >= 0
        peaks = [getattr(sample, name) for name in STAGE_PEAKS]
        assert (peaks[3] is None) == (sample.num_output_tokens == 1)
        known = [peak for peak in peaks if peak is not None]
        assert 0 < min(known) <= max(known) <= said["memory_used_bytes"]
        # The peak of the whole is one of the stages', but for what other settings' inputs took meanwhile.
        assert max(known) == pytest.approx(sample.peak_memory_bytes, rel=0.05)


def test_stages_repeated_one_by_one_give_what_an_inference_gives(shelf, target):
    loaded, engine = shelf.get(target), shelf.engine(target)
    setting = small_sweep("output_tokens", (6,)).settings[0]
    inputs = grid_inputs(loaded, load_picture(Picture()), setting.grid, "What is this?")
    expected, _ = engine.infer(inputs, setting)
    works = engine.stage_works(inputs, setting)
    for work in works.values():
        work()
    for _ in range(3):
        works[Stage.PROJECTOR]()
        works[Stage.LLM_DECODE]()
    if target.engine != "eager":
        first = inputs.num_input_tokens
        assert torch.equal(engine.tokens[first : first + 6], expected)
    again, _ = engine.infer(inputs, setting)
    assert torch.equal(again, expected)


def test_energy_of_the_stages_is_about_that_of_an_inference(shelf, target, monkeypatch):
    loaded, engine = shelf.get(target), shelf.engine(target)
    card = Telemetry(loaded.model.device).card
    if energy_refusal(loaded.model.device, card):
        pytest.skip("this card says nothing of what it uses")
    monkeypatch.setattr("profcore.measure.energy.LONGEST_S", 1.5)
    setting = small_sweep("output_tokens", (16,)).settings[0]
    inputs = grid_inputs(loaded, load_picture(Picture()), setting.grid, "What is this?")
    found = EnergyPass(engine, card, bool).of(inputs, setting, 0)
    assert found.method in ("counter", "power")
    assert all(joules > 0 for joules in found.joules.values())
    stages = sum(joules for part, joules in found.joules.items() if part != "total")
    open_ = sum(found.resolution.values())
    assert abs(stages - found.joules["total"]) < 0.3 * found.joules["total"] + open_
