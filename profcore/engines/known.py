"""An engine of known durations, for finding out whether the clocks tell the truth: no model is run.

Each stage has the host wait and then the device be busy. On a GPU a kernel spins and the host goes on, as it does under
any engine, so where the host waits no longer than the device still works, its waiting takes no time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import torch

from profcore.engines.base import StopRequestedError
from profcore.spec.stages import TTFT_STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from profcore.engines.base import StageClock
    from profcore.models.inputs import ModelInputs
    from profcore.spec.settings import Setting

_CALIBRATIONS = 5
_CYCLES = 20_000_000


@dataclass(frozen=True)
class Work:
    """What a stage, or a decode step, has to do: milliseconds that the host waits, then that the device is busy."""

    host_ms: float
    device_ms: float


class KnownEngine:
    """See `profcore.engines.base.Engine`."""

    name = "known"
    experts = "none"

    def __init__(self, works: Mapping[Stage, Work], device: torch.device) -> None:
        """Calibrate the device's spinning by the host's clock.

        Args:
            works: What each of the stages up to the first token and each decode step has to do.
            device: What is to be busy; a CPU is its own host.
        """
        self._works, self._device = works, device
        self._cycles_per_ms = _cycles_per_ms(device) if device.type == "cuda" else 0.0

    def prepare(self, inputs: ModelInputs, setting: Setting, tell: Callable[[str], None] | None = None) -> int | None:
        """Nothing."""
        return None

    def infer(
        self,
        inputs: ModelInputs,
        setting: Setting,
        clock: StageClock | None = None,
        stop: Callable[[], bool] | None = None,
        keep_logits: bool = False,
    ) -> tuple[Tensor, list[Tensor]]:
        """As `Engine.infer`, but nothing is inferred: all tokens are 0."""
        if clock:
            clock.start()
        for stage in TTFT_STAGES:
            self._do(self._works[stage])
            if clock:
                clock.mark(stage)
        for _ in range(setting.output_tokens - 1):
            if stop and stop():
                raise StopRequestedError
            self._do(self._works[Stage.LLM_DECODE])
            if clock:
                clock.step()
        if clock:
            clock.finish()
        return torch.zeros(setting.output_tokens, dtype=torch.int64), []

    def stage_works(self, inputs: ModelInputs, setting: Setting) -> dict[Stage, Callable[[], None]]:
        """As `Engine.stage_works`."""
        times = dict.fromkeys(TTFT_STAGES, 1) | {Stage.LLM_DECODE: setting.output_tokens - 1}
        return {stage: partial(self._do_often, self._works[stage], number) for stage, number in times.items() if number}

    def _do_often(self, work: Work, times: int) -> None:
        for _ in range(times):
            self._do(work)

    def truth(self, output_tokens: int) -> dict[Stage, float]:
        """How long each stage takes, in milliseconds, by the works alone."""
        host = device = 0.0
        found: dict[Stage, float] = dict.fromkeys((*TTFT_STAGES, Stage.LLM_DECODE), 0.0)
        for stage in (*TTFT_STAGES, *[Stage.LLM_DECODE] * (output_tokens - 1)):
            work, before = self._works[stage], device
            host += work.host_ms
            device = max(host, device) + work.device_ms
            if self._device.type != "cuda":
                host = device
            found[stage] += device - before
        return found

    def _do(self, work: Work) -> None:
        _wait(work.host_ms)
        if self._device.type == "cuda":
            torch.cuda._sleep(round(work.device_ms * self._cycles_per_ms))
        else:
            _wait(work.device_ms)


def _wait(ms: float) -> None:
    """Let time go by, told by the clock that measures it: sleeping would take longer than it is asked to."""
    end = time.perf_counter() + ms / 1e3
    while time.perf_counter() < end:
        pass


def _cycles_per_ms(device: torch.device) -> float:
    """How many cycles a card spins in a millisecond of the host's: the slope between two lengths, so that launching
    and waiting are not in it; the median of some.
    """  # noqa: D205

    def took(cycles: int) -> float:
        torch.cuda.synchronize(device)
        begin = time.perf_counter()
        torch.cuda._sleep(cycles)
        torch.cuda.synchronize(device)
        return (time.perf_counter() - begin) * 1e3

    # The card's clock rises with work.
    took(10 * _CYCLES)
    return median(_CYCLES / (took(2 * _CYCLES) - took(_CYCLES)) for _ in range(_CALIBRATIONS))
