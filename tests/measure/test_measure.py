import itertools
from dataclasses import replace

import pytest
import torch

from profcore.engines.base import PreparationError, StopRequestedError
from profcore.engines.eager import EagerEngine
from profcore.errors import UserError
from profcore.measure import clock as clocks
from profcore.measure import loop
from profcore.measure.loop import Routing, SettingFailed, run_sweep
from profcore.measure.telemetry import Telemetry
from profcore.spec.records import Sample
from profcore.spec.stages import Clock, Stage
from tests.support import small_sweep

CPU = torch.device("cpu")
NEVER = bool


def everything(tiny, sweep, stop=NEVER, engine=None, tell=lambda text: None):
    return list(run_sweep(tiny, engine or EagerEngine(tiny.model), sweep, Telemetry(CPU), stop, tell))


def measure(tiny, sweep, stop=NEVER, engine=None):
    return [result for result in everything(tiny, sweep, stop, engine) if not isinstance(result, Routing)]


def test_the_stages_and_other_add_up_to_the_total(tiny):
    samples = measure(tiny, small_sweep("output_tokens", (1, 4)))
    assert len(samples) == 4
    for sample in samples:
        stages = [getattr(sample, stage.column) for stage in Stage]
        assert sum(stages) == pytest.approx(sample.total_ms, abs=1e-9)
        assert all(stage >= 0 for stage in stages)
        assert sum(sample.decode_steps_ms) == pytest.approx(sample.llm_decode_ms)
        assert len(sample.decode_steps_ms) == sample.num_output_tokens - 1
        assert (sample.num_crops, sample.num_vision_tokens) == (2, 288)
        assert sample.num_input_tokens > 288


def test_published_clock_takes_decode_as_one_component(tiny):
    sample = measure(tiny, small_sweep(num_samples=1, clock=Clock.PUBLISHED))[0]
    assert sample.decode_steps_ms == ()
    assert sample.llm_decode_ms > 0
    assert sum(getattr(sample, stage.column) for stage in Stage) == pytest.approx(sample.total_ms, abs=1e-9)


class TestClockArithmetic:
    """The clocks on a time that is known: each reading comes a whole second after the one before."""

    @pytest.fixture(autouse=True)
    def counted(self, monkeypatch):
        ticks = itertools.count()
        monkeypatch.setattr(clocks.time, "perf_counter", lambda: float(next(ticks)))

    def play(self, clock):
        clock.start()
        for stage in (Stage.VISION_ENCODER, Stage.PROJECTOR, Stage.LLM_PREFILL):
            clock.mark(stage)
        clock.step()
        clock.step()
        clock.finish()
        return clock.read()

    def test_host_clock(self):
        timing = self.play(clocks.HostClock())
        assert timing.total == 6000
        assert timing.steps == (1000, 1000)
        assert timing.stages == {
            Stage.VISION_ENCODER: 1000,
            Stage.PROJECTOR: 1000,
            Stage.LLM_PREFILL: 1000,
            Stage.LLM_DECODE: 2000,
        }
        assert timing.other == 1000

    def test_published_clock(self):
        timing = self.play(clocks.PublishedClock(CPU))
        # A component's clock stops at its end and starts anew for the next, so each mark reads twice.
        assert timing.total == 7000
        assert set(timing.stages.values()) == {1000}
        assert timing.other == 3000


def test_order_is_seeded_and_each_round_visits_every_setting_once(tiny):
    def order(seed):
        samples = measure(tiny, small_sweep(values=(1, 2, 4, 8), num_samples=3, seed=seed))
        return [(sample.round, sample.setting) for sample in samples]

    first = order(0)
    assert first == order(0)
    assert first != order(1)
    for visit in range(3):
        assert sorted(setting for turn, setting in first if turn == visit) == [0, 1, 2, 3]
    assert len({tuple(s for turn, s in first if turn == visit) for visit in range(3)}) > 1


class Recording(EagerEngine):
    """Eager, with a note of what it was asked for."""

    def __init__(self, model):
        super().__init__(model)
        self.calls = []

    def prepare(self, inputs, setting, tell=None):
        self.calls.append((setting.output_tokens, "prepared"))
        tell("Compiling")

    def infer(self, inputs, setting, clock=None, stop=None, keep_logits=False):
        self.calls.append((setting.output_tokens, "timed" if clock else "warmed"))
        return super().infer(inputs, setting, clock, stop, keep_logits)


def test_each_setting_is_prepared_and_warmed_at_its_own_shape_and_length(tiny):
    engine, told = Recording(tiny.model), []
    everything(tiny, small_sweep("output_tokens", (1, 3), num_samples=2, warmup=2), NEVER, engine, told.append)
    for tokens in (1, 3):
        done = [what for length, what in engine.calls if length == tokens]
        assert done == ["prepared", "warmed", "warmed", "timed", "timed"]
    said = [
        f"{what} {setting}"
        for what in ("Compiling for", "Warming up at")
        for setting in ("1 output token (1 of 2)", "3 output tokens (2 of 2)")
    ]
    assert sorted(told) == sorted([*said, "Measuring", "Measuring"])


class FailingAtThree(EagerEngine):
    """Eager, which cannot do three output tokens."""

    def __init__(self, model, prepare=None, infer=None):
        super().__init__(model)
        self.errors = {"prepare": prepare, "infer": infer}

    def prepare(self, inputs, setting, tell=None):
        if setting.output_tokens == 3 and self.errors["prepare"]:
            raise self.errors["prepare"]

    def infer(self, inputs, setting, *rest):
        if setting.output_tokens == 3 and self.errors["infer"]:
            raise self.errors["infer"]
        return super().infer(inputs, setting, *rest)


def test_a_setting_that_cannot_be_captured_is_marked_and_the_run_goes_on(tiny):
    engine = FailingAtThree(tiny.model, prepare=PreparationError("RuntimeError: no such kernel"))
    results = measure(tiny, small_sweep("output_tokens", (1, 3, 2), num_samples=2), NEVER, engine)
    assert [result for result in results if isinstance(result, SettingFailed)] == [
        SettingFailed(1, "It could not be compiled and captured (RuntimeError: no such kernel).")
    ]
    assert sorted(result.setting for result in results if isinstance(result, Sample)) == [0, 0, 2, 2]


def test_preprocessing_is_measured_anew_for_every_sample_and_is_no_part_of_it(tiny, monkeypatch):
    made, real, given = itertools.count(1), loop.picture_inputs, []

    def counted(*arguments):
        return replace(real(*arguments), host_preprocessing_ms=1e6 * next(made))

    class Noting(EagerEngine):
        def infer(self, inputs, *rest):
            given.append(inputs.host_preprocessing_ms)
            return super().infer(inputs, *rest)

    monkeypatch.setattr(loop, "picture_inputs", counted)
    samples = measure(tiny, small_sweep("output_tokens", (1,), num_samples=3), NEVER, Noting(tiny.model))
    # The first are what inferences run on, and stay so: an engine that copies its inputs in copies them once.
    assert [sample.host_preprocessing_ms for sample in samples] == [2e6, 3e6, 4e6]
    assert given == [1e6] * 3
    assert all(sample.total_ms < 1e6 for sample in samples)


def test_routing_is_counted_for_each_setting(tiny):
    found = [r for r in everything(tiny, small_sweep(values=(1, 64), num_samples=1)) if isinstance(r, Routing)]
    # Two blocks are active, and every expert is hit where every token takes all.
    assert sorted(result.setting for result in found) == [0, 1]
    assert all(len(result.prefill_experts) == 2 for result in found)
    assert next(result for result in found if result.setting == 1).prefill_experts == (64, 64)
    assert max(next(result for result in found if result.setting == 0).prefill_experts) < 64


def test_the_first_sample_does_not_wait_for_the_counting_of_experts(tiny):
    results = everything(tiny, small_sweep(values=(1, 2), num_samples=1))
    assert [type(result) for result in results] == [Sample, Routing, Sample, Routing]


def test_out_of_memory_at_one_setting_marks_it_and_the_run_goes_on(tiny, monkeypatch):
    engine = FailingAtThree(tiny.model, infer=torch.cuda.OutOfMemoryError())
    monkeypatch.setattr(loop, "failure_reason", lambda error, device: "Out of GPU memory")
    results = measure(tiny, small_sweep("output_tokens", (1, 3, 2), num_samples=2), NEVER, engine)
    assert [result for result in results if isinstance(result, SettingFailed)] == [
        SettingFailed(1, "Out of GPU memory")
    ]
    assert sorted(result.setting for result in results if isinstance(result, Sample)) == [0, 0, 2, 2]


def test_longer_than_the_context_fails_that_setting_only(tiny):
    results = measure(tiny, small_sweep("output_tokens", (1, 4000), num_samples=1))
    failed = [result for result in results if isinstance(result, SettingFailed)]
    assert [result.setting for result in failed] == [1]
    assert "context of 4096" in failed[0].reason


def test_a_sweep_of_which_nothing_can_be_measured_says_why(tiny):
    with pytest.raises(UserError, match=r"No setting could be measured: .*context of 4096"):
        measure(tiny, small_sweep("output_tokens", (4000,), num_samples=1))


def test_stop_throws_the_inference_under_way_away(tiny):
    asked = itertools.count()
    taken = []
    sweep, engine = small_sweep("output_tokens", (5,), 9), EagerEngine(tiny.model)
    with pytest.raises(StopRequestedError):
        for result in run_sweep(tiny, engine, sweep, Telemetry(CPU), lambda: next(asked) > 7):
            if isinstance(result, Sample):
                taken.append(result)
    assert len(taken) == 1
    assert {router.top_k for router in tiny.model.routers()} == {8}
    assert len(tiny.model.active_blocks) == 16
