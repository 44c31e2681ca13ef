"""The peak memory of each stage, with an allocator of the test's own."""

import torch

from profcore.engines.eager import EagerEngine
from profcore.engines.graph import GraphEngine
from profcore.images.pictures import load_picture
from profcore.measure.stage_memory import MemoryClock, stage_peaks
from profcore.models.inputs import grid_inputs
from profcore.spec.queries import Picture
from profcore.spec.stages import TTFT_STAGES
from tests.support import small_sweep


class Allocator:
    """Keeps the most that was held since the last reset, as torch's does."""

    def __init__(self, held):
        self.held = self.most = held

    def reset(self):
        self.most = self.held

    def take(self, size, kept=0):
        self.most = max(self.most, self.held + size)
        self.held += kept


def test_each_stage_has_the_peak_between_its_boundaries():
    allocator = Allocator(100)
    allocator.take(5000)
    clock = MemoryClock(lambda: allocator.most, allocator.reset)
    clock.start()
    for stage, size, kept in zip(TTFT_STAGES, (40, 10, 30), (5, 5, 20), strict=True):
        allocator.take(size, kept)
        clock.mark(stage)
    for _ in range(3):
        allocator.take(4, 1)
        clock.step()
    clock.finish()
    peaks = {
        "vision_encoder_peak_bytes": 140,
        "projector_peak_bytes": 115,
        "llm_prefill_peak_bytes": 140,
        "llm_decode_peak_bytes": 136,
    }
    assert clock.peaks(decodes=True) == peaks
    assert "llm_decode_peak_bytes" not in clock.peaks(decodes=False)


def test_a_cpu_runs_the_inference_and_has_no_peaks(tiny):
    setting = small_sweep().settings[0]
    inputs = grid_inputs(tiny, load_picture(Picture()), setting.grid, "What?")
    assert stage_peaks(EagerEngine(tiny.model), inputs, setting) == {}


def test_a_captured_engine_says_what_each_prepared_stage_needed(tiny):
    setting = small_sweep().settings[0]
    inputs = grid_inputs(tiny, load_picture(Picture()), setting.grid, "What?")
    engine = GraphEngine(tiny.model, graphs=False)
    engine.prepare(inputs, setting)
    found = engine.stage_memory(inputs, setting)
    assert [str(stage) for stage in found] == ["vision_encoder", "projector", "llm_prefill", "llm_decode"]
    assert torch.tensor(list(found.values())).eq(0).all()
