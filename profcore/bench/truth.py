"""Whether the clocks tell the truth on this device: known durations, the profiler's span, and bare inferences."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from profcore.bench.base import Bound, Figure
from profcore.engines.known import KnownEngine, Work
from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings
from profcore.images.pictures import load_picture
from profcore.measure.clock import make_clock
from profcore.measure.profile import device_span_ms
from profcore.models.inputs import grid_inputs
from profcore.spec.queries import DEFAULT_PROMPT, Picture
from profcore.spec.stages import Clock, Stage
from profcore.stats import median_interval

if TYPE_CHECKING:
    from profcore.engines.base import Engine, StageClock, Timing
    from profcore.models.inputs import ModelInputs
    from profcore.models.load import LoadedModel
    from profcore.spec.runs import Target
    from profcore.spec.settings import Setting
    from profcore.worker.shelf import ModelShelf

WORKS = {
    # Busy while the host goes on; a host that is late; both; steps shorter than what the host needs for them.
    Stage.VISION_ENCODER: Work(host_ms=0.0, device_ms=5.0),
    Stage.PROJECTOR: Work(host_ms=15.0, device_ms=0.5),
    Stage.LLM_PREFILL: Work(host_ms=2.0, device_ms=8.0),
    Stage.LLM_DECODE: Work(host_ms=1.0, device_ms=0.5),
}
"""Milliseconds of a made-up inference in which now the host and now the device is waited for."""

_STEPS = 9
_SAMPLES, _PAIRS = 20, 30
_WITHIN, _NEARLY = Bound(0.99, 1.01), Bound(0.97, 1.03)


def truth(target: Target, shelf: ModelShelf) -> list[Figure]:
    """All that is held against the clocks."""
    loaded, engine = shelf.get(target), shelf.engine(target)
    config, experiment = loaded.model.config, CATALOGUE["context_scaling"]
    # The widest grid keeps a card busy; a CPU is busy with any.
    grid = config.max_crops if loaded.model.device.type == "cuda" else 1
    (setting,) = build_settings(experiment, (grid,), base_setting(experiment, config))
    inputs = grid_inputs(loaded, load_picture(Picture()), setting.grid, DEFAULT_PROMPT)
    engine.prepare(inputs, setting)
    return [*known(inputs, setting), *against_bare(loaded, engine, inputs, setting)] + (
        against_profiler(loaded, engine, inputs, setting) if loaded.model.device.type == "cuda" else []
    )


def recovered(inputs: ModelInputs, setting: Setting, samples: int = _SAMPLES) -> list[tuple[str, float, list[float]]]:
    """Each stage's known duration and what the clock gave for it, in milliseconds.

    Args:
        inputs: On the device that is to be tried; nothing of them is looked at.
        setting: Its output tokens say how many decode steps there are.
        samples: How often.
    """
    device = inputs.device
    engine, clock = KnownEngine(WORKS, device), make_clock(Clock.EVENTS, device)
    engine.infer(inputs, setting, clock)
    timings = [_timed(engine, inputs, setting, clock) for _ in range(samples)]
    return [
        (stage.label, asked, [timing.stages[stage] for timing in timings])
        for stage, asked in engine.truth(setting.output_tokens).items()
    ]


def known(inputs: ModelInputs, setting: Setting) -> list[Figure]:
    """What the clock gives for durations that are known."""
    figures = []
    for label, asked, values in recovered(inputs, replace(setting, output_tokens=_STEPS + 1)):
        found = median_interval(np.array(values))
        how = f"{label}: {asked:g} ms known, median {found.value:.4f} ms, 95 % {found.low:.4f} to {found.high:.4f}"
        figures.append(Figure("truth known", found.value / asked, "ratio", how, _WITHIN))
    return figures


def against_bare(loaded: LoadedModel, engine: Engine, inputs: ModelInputs, setting: Setting) -> list[Figure]:
    """The total that a sample says against the same inference without a clock, alternating which goes first."""
    device, clock = loaded.model.device, make_clock(Clock.EVENTS, loaded.model.device)

    def bare() -> float:
        _synchronize(device)
        begin = time.perf_counter()
        engine.infer(inputs, setting)
        _synchronize(device)
        return (time.perf_counter() - begin) * 1e3

    def told() -> float:
        return _timed(engine, inputs, setting, clock).total

    ways = (told, bare)
    for way in (*ways, *ways):
        way()
    pairs = []
    for number in range(_PAIRS):
        first = ways[number % 2]()
        second = ways[1 - number % 2]()
        pairs.append((first, second) if number % 2 == 0 else (second, first))
    ratio = statistics.median(instrumented / plain for instrumented, plain in pairs)
    how = f"total / bare inference at {setting.grid_label}, one token, median of {_PAIRS} pairs"
    return [Figure("truth total", ratio, "ratio", how, _WITHIN)]


def against_profiler(loaded: LoadedModel, engine: Engine, inputs: ModelInputs, setting: Setting) -> list[Figure]:
    """The stages' sum against the span of the same kernels, as the profiler has it from the card itself.

    To be had where the card is busy all the time: elsewhere the profiler makes a host late that was late already.
    """
    clock = make_clock(Clock.EVENTS, loaded.model.device)
    engine.infer(inputs, setting, clock)
    timings = [_timed(engine, inputs, setting, clock) for _ in range(_SAMPLES)]
    stages = statistics.median(sum(timing.stages.values()) for timing in timings)
    span = statistics.median(device_span_ms(loaded.model, engine, inputs, setting) for _ in range(3))
    how = f"stages' sum {stages:.3f} ms / kernels' span {span:.3f} ms by torch.profiler at {setting.grid_label}"
    return [Figure("truth stages", stages / span, "ratio", how, _NEARLY)]


def _timed(engine: Engine, inputs: ModelInputs, setting: Setting, clock: StageClock) -> Timing:
    engine.infer(inputs, setting, clock)
    return clock.read()


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
