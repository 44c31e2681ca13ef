"""An engine of known durations, recovered by the clock and the sampling loop; a GPU's part is in `test_gpu.py`."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from profcore import stats
from profcore.engines import known
from profcore.engines.known import KnownEngine, Work
from profcore.measure import clock as clock_room
from profcore.measure.loop import run_sweep
from profcore.measure.telemetry import Telemetry
from profcore.spec.records import Sample
from profcore.spec.stages import Stage
from tests.support import small_sweep

CPU = torch.device("cpu")
TICK_MS = 1e-3
WORKS = {
    Stage.VISION_ENCODER: Work(0.0, 5.0),
    Stage.PROJECTOR: Work(7.0, 0.5),
    Stage.LLM_PREFILL: Work(2.0, 8.0),
    Stage.LLM_DECODE: Work(1.0, 0.5),
}


@pytest.fixture
def ticking(monkeypatch):
    """A clock that goes on by a microsecond whenever it is looked at, and at no other time."""
    now = [0]

    def look():
        now[0] += 1
        return now[0] * TICK_MS / 1e3

    for room in (known, clock_room):
        monkeypatch.setattr(room, "time", SimpleNamespace(perf_counter=look))


def test_known_durations_come_out_of_a_sweep_as_they_were_put_in(tiny, ticking):
    sweep = small_sweep("output_tokens", (1, 4), num_samples=6, warmup=1)
    engine = KnownEngine(WORKS, CPU)
    samples = [each for each in run_sweep(tiny, engine, sweep, Telemetry(CPU), bool) if isinstance(each, Sample)]
    for setting, tokens in enumerate((1, 4)):
        own = [sample for sample in samples if sample.setting == setting]
        assert len(own) == 6
        for stage, asked in engine.truth(tokens).items():
            found = stats.median_interval(np.array([getattr(sample, stage.column) for sample in own]))
            # What a stage takes beyond its work is looking at the clock: when it begins, waits and ends.
            looks = 6 * (tokens if stage is Stage.LLM_DECODE else 1)
            assert asked <= found.low <= found.high <= asked + looks * TICK_MS
        assert all(sample.total_ms == pytest.approx(sum(engine.truth(tokens).values()), abs=0.1) for sample in own)


def test_what_a_host_takes_beside_a_busy_device_is_no_time(tiny):
    """By the timeline alone: the card starts what it is handed when it is free and the host has come to it."""
    card = KnownEngine.__new__(KnownEngine)
    card._works, card._device = WORKS, torch.device("cuda", 0)
    # Busy until 5; handed the projector's at 7; prefill's at 9; decode's at 10, 11, 12, while it is busy until 17.
    assert card.truth(4) == {
        Stage.VISION_ENCODER: 5.0,
        Stage.PROJECTOR: 2.5,
        Stage.LLM_PREFILL: 9.5,
        Stage.LLM_DECODE: 1.5,
    }
    late = {**WORKS, Stage.LLM_DECODE: Work(20.0, 0.5)}
    card._works = late
    assert card.truth(3)[Stage.LLM_DECODE] == pytest.approx((29 - 17 + 0.5) + 20.0)


def test_a_host_that_is_its_own_device_does_one_after_the_other():
    assert KnownEngine(WORKS, CPU).truth(2) == {
        Stage.VISION_ENCODER: 5.0,
        Stage.PROJECTOR: 7.5,
        Stage.LLM_PREFILL: 10.0,
        Stage.LLM_DECODE: 1.5,
    }


def test_a_clock_that_gives_a_step_to_another_stage_is_found_out(tiny, ticking, monkeypatch):
    """The test above can fail: with a mark too late, the projector's wait would be the vision encoder's."""
    sweep = replace(small_sweep("output_tokens", (1,), num_samples=6), warmup=0)
    engine = KnownEngine(WORKS, CPU)
    real = clock_room.HostClock.mark
    monkeypatch.setattr(
        clock_room.HostClock,
        "mark",
        lambda self, stage: (stage is Stage.VISION_ENCODER and known._wait(1.0), real(self, stage))[1],
    )
    samples = [each for each in run_sweep(tiny, engine, sweep, Telemetry(CPU), bool) if isinstance(each, Sample)]
    assert min(sample.vision_encoder_ms for sample in samples) > engine.truth(1)[Stage.VISION_ENCODER] + 0.9
