"""How much device memory each stage of a setting takes at most.

The caching allocator's peak is bookkeeping of the host, done as work is issued, so at a boundary it is read and reset
without waiting for the device. It takes some microseconds all the same, and shapes alone decide what is allocated, so
it is done in an untimed inference of a setting and costs no sample anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from profcore.engines.base import Timing
from profcore.engines.family_graph import FamilyGraphEngine
from profcore.engines.static import StaticEngine
from profcore.spec.records import STAGE_PEAKS
from profcore.spec.stages import MODEL_STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from profcore.engines.base import Engine
    from profcore.models.inputs import ModelInputs
    from profcore.spec.settings import Setting

StagePeaks = dict[str, int]
"""Bytes at most by the fields of a sample that hold them (`spec.records.STAGE_PEAKS`)."""


class MemoryClock:
    """A stage clock that takes no time, but what was allocated at most between its boundaries."""

    def __init__(self, peak: Callable[[], int], reset: Callable[[], None]) -> None:
        """Without having begun.

        Args:
            peak: Bytes allocated at most since the last reset.
            reset: Begins anew, from what is allocated now.
        """
        self._peak, self._reset = peak, reset
        self._most: dict[Stage, int] = {}

    def start(self) -> None:
        """Begin."""
        self._most = {}
        self._reset()

    def mark(self, stage: Stage) -> None:
        """End a stage."""
        self._most[stage] = self._peak()
        self._reset()

    def step(self) -> None:
        """Decode is looked at as a whole."""

    def finish(self) -> None:
        """End decode."""
        self._most[Stage.LLM_DECODE] = self._peak()

    def reserve(self, output_tokens: int) -> None:
        """Nothing: no events are recorded."""

    def read(self) -> Timing:
        """No latencies."""
        raise NotImplementedError("this clock takes memory, not time")

    def peaks(self, decodes: bool) -> StagePeaks:
        """Bytes at most of each stage, without decode where no token but the first was asked for."""
        return _by_field({stage: most for stage, most in self._most.items() if decodes or stage != Stage.LLM_DECODE})


def stage_peaks(
    engine: Engine, inputs: ModelInputs, setting: Setting, stop: Callable[[], bool] | None = None
) -> StagePeaks:
    """The peaks of one untimed inference; none on a CPU, which is only run then.

    A captured stage allocates nothing when it is replayed: its intermediate tensors lie in the graphs' own pool. Its
    figure is what is allocated besides, and what the stage took when it was run for the last time before its capture.

    Args:
        engine: Prepared for the setting.
        inputs: Picture and prompt.
        setting: The knobs.
        stop: As in `Engine.infer`.
    """
    device = inputs.device
    if device.type != "cuda":
        engine.infer(inputs, setting, None, stop)
        return {}
    if isinstance(engine, StaticEngine):
        engine.infer(inputs, setting, None, stop)
        besides = torch.cuda.memory_allocated(device)
        return _by_field({stage: besides + most for stage, most in engine.stage_memory(inputs, setting).items()})
    clock = MemoryClock(
        lambda: torch.cuda.max_memory_allocated(device), lambda: torch.cuda.reset_peak_memory_stats(device)
    )
    engine.infer(inputs, setting, clock, stop)
    most = clock.peaks(setting.output_tokens > 1)
    if isinstance(engine, FamilyGraphEngine):
        besides = torch.cuda.memory_allocated(device)
        captured = engine.stage_memory(inputs, setting)
        most |= _by_field({stage: besides + each for stage, each in captured.items()})
    return most


def _by_field(most: dict[Stage, int]) -> StagePeaks:
    fields = dict(zip(MODEL_STAGES, STAGE_PEAKS, strict=True))
    return {fields[stage]: peak for stage, peak in most.items()}
