"""What only a GPU can show; skipped where there is none."""

import pytest
import torch
from conftest import small_sweep

from profcore.engines.eager import EagerEngine
from profcore.experiments import CATALOGUE, base_setting, build_settings
from profcore.measure.loop import SettingFailed, run_sweep
from profcore.measure.telemetry import Telemetry
from profcore.models.config import PRESETS
from profcore.spec import Clock, Sample, Stage, Sweep, Target

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


def test_a_setting_that_really_runs_out_of_memory_fails_alone(shelf):
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
    assert "Out of GPU memory" in failed[0].reason
    assert [result.setting for result in results if isinstance(result, Sample)] == [0, 0]


def test_the_full_shape_is_made_without_a_float32_copy(shelf):
    shelf.get(Target("tiny", "cuda:0"))
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    model = shelf.get(Target("molmoe-1b", "cuda:0")).model
    weights = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert torch.cuda.max_memory_allocated() < 1.1 * weights
