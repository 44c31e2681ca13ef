"""Stage clocks: what is read at the boundaries of one inference.

`EventClock` follows the device: an event at each boundary, read after one synchronisation at the end, so that
the CPU runs ahead as it would without a clock. `PublishedClock` is the method of the published scripts: the
device is synchronised around every component and the host's clock read.
"""

from __future__ import annotations

import time
from itertools import pairwise

import torch

from profcore.engines.base import StageClock, Timing
from profcore.spec.stages import MODEL_STAGES, Clock, Stage


class EventClock:
    """CUDA events at every boundary and after every decode step; one synchronisation at the end.

    Events are kept and used again: creating one costs more than recording it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.current_stream(device)
        self._events: list[torch.cuda.Event] = []

    def reserve(self, output_tokens: int) -> None:
        """Have the events of an inference: one at its start, after each stage and after each decode step."""
        lacking = 1 + len(MODEL_STAGES) + output_tokens - len(self._events)
        self._events += [torch.cuda.Event(enable_timing=True) for _ in range(lacking)]
        for event in self._events[-lacking:] if lacking > 0 else ():
            # A card makes an event when it is first recorded.
            event.record(self._stream)

    def start(self) -> None:
        """Wait for earlier work, then begin."""
        self._marks: list[Stage] = []
        self._issued: list[float] = []
        self._stepped: list[float] = []
        self._used = 0
        torch.cuda.synchronize(self._device)
        self._begin = time.perf_counter()
        self._record()

    def mark(self, stage: Stage) -> None:
        """End a stage."""
        self._marks.append(stage)
        self._record()
        self._issued.append(time.perf_counter())

    def step(self) -> None:
        """End a decode step."""
        self._record()
        self._stepped.append(time.perf_counter())

    def finish(self) -> None:
        """Wait for the device, and read the host's clock."""
        self._issued.append(time.perf_counter())
        torch.cuda.synchronize(self._device)
        self._end = time.perf_counter()

    def read(self) -> Timing:
        """Read the events."""
        events = self._events[: self._used]
        spans = [first.elapsed_time(second) for first, second in pairwise(events)]
        stages = dict(zip(self._marks, spans[: len(self._marks)], strict=True))
        steps = tuple(spans[len(self._marks) :])
        issue = tuple((second - first) * 1e3 for first, second in pairwise([self._begin, *self._issued]))
        total = (self._end - self._begin) * 1e3
        return Timing({**stages, Stage.LLM_DECODE: sum(steps)}, steps, total, issue, self._least_step_issue())

    def _least_step_issue(self) -> float | None:
        """The least time that the host took to issue a decode step.

        Once the device holds as many launches as it takes in advance, about 512 graphs, the host waits for it at every
        further one, and a step takes as long to issue as to run: only the least says what issuing costs.
        """
        if not self._stepped:
            return None
        times = [self._issued[len(self._marks) - 1], *self._stepped]
        return min(second - first for first, second in pairwise(times)) * 1e3

    def _record(self) -> None:
        if self._used == len(self._events):
            self._events.append(torch.cuda.Event(enable_timing=True))
        self._events[self._used].record(self._stream)
        self._used += 1


class HostClock:
    """The host's clock at every boundary, for a CPU: there the work is done when the call returns."""

    def reserve(self, output_tokens: int) -> None:
        """Nothing: looking at the host's clock takes nothing to have."""

    def start(self) -> None:
        """Begin."""
        self._marks: list[Stage] = []
        self._times = [time.perf_counter()]

    def mark(self, stage: Stage) -> None:
        """End a stage."""
        self._times.append(time.perf_counter())
        self._marks.append(stage)

    def step(self) -> None:
        """End a decode step."""
        self._times.append(time.perf_counter())

    def finish(self) -> None:
        """End the inference."""
        self._times.append(time.perf_counter())

    def read(self) -> Timing:
        """Subtract neighbours."""
        times = self._times
        spans = [(second - first) * 1e3 for first, second in pairwise(times)]
        stages = dict(zip(self._marks, spans[: len(self._marks)], strict=True))
        steps = tuple(spans[len(self._marks) : -1])
        return Timing({**stages, Stage.LLM_DECODE: sum(steps)}, steps, (times[-1] - times[0]) * 1e3)


class PublishedClock:
    """The published scripts' method: synchronise, read the host's clock, run a component, synchronise, read again.

    Decode is one component, so it has no latencies per step.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def reserve(self, output_tokens: int) -> None:
        """Nothing, as of `HostClock`."""

    def start(self) -> None:
        """Begin."""
        self._stages: dict[Stage, float] = {}
        self._begin = self._last = self._now()

    def mark(self, stage: Stage) -> None:
        """End a component."""
        now = self._now()
        self._stages[stage] = (now - self._last) * 1e3
        self._last = self._now()

    def step(self) -> None:
        """A decode step is no component of its own."""

    def finish(self) -> None:
        """End decode, and the inference."""
        end = self._now()
        self._stages[Stage.LLM_DECODE] = (end - self._last) * 1e3
        self._end = end

    def read(self) -> Timing:
        """The latencies."""
        return Timing(self._stages, (), (self._end - self._begin) * 1e3)

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


def make_clock(clock: Clock, device: torch.device) -> StageClock:
    """The clock of that name for a device."""
    if clock is Clock.PUBLISHED:
        return PublishedClock(device)
    return EventClock(device) if device.type == "cuda" else HostClock()
