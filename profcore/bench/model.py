"""What measuring costs and how fast the model is."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from profcore.bench.base import Bound, Figure, at_least, at_most
from profcore.engines.base import Timing
from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings, default_values
from profcore.images.pictures import load_picture
from profcore.measure.clock import make_clock
from profcore.models.inputs import grid_inputs
from profcore.spec.queries import Picture
from profcore.spec.records import Sample
from profcore.spec.runs import RunSpec, Sweep, Target
from profcore.spec.stages import Clock
from profcore.storage.spool import SpoolWriter
from profcore.worker.execute import execute
from profcore.worker.shelf import ModelShelf

if TYPE_CHECKING:
    from collections.abc import Callable

    from profcore.engines.base import StageClock
    from profcore.spec.stages import Stage

_PAIRS = 60


def load_time(target: Target, shelf: ModelShelf) -> list[Figure]:
    """How long the model takes to be ready, imports not counted."""
    # What was asked of a card before is no part of it; one that has done nothing yet is set up by the load.
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    begin = time.perf_counter()
    loaded = shelf.get(target)
    _wait(loaded.model.device)
    seconds = time.perf_counter() - begin
    return [Figure("load", seconds, "s", f"{target.model} made on {target.device}", at_most(20))]


class _Ends:
    """A clock of the two ends alone, where it waits and looks at the host's as the other clocks do."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.begin = self.end = 0.0

    def reserve(self, output_tokens: int) -> None:
        """Nothing."""

    def start(self) -> None:
        _wait(self._device)
        self.begin = time.perf_counter()

    def mark(self, stage: Stage) -> None:
        """Nothing."""

    def step(self) -> None:
        """Nothing."""

    def finish(self) -> None:
        _wait(self._device)
        self.end = time.perf_counter()

    def read(self) -> Timing:
        total = (self.end - self.begin) * 1e3
        return Timing({}, (), total)


def overhead(target: Target, shelf: ModelShelf) -> list[Figure]:
    """What the clock costs a sample, and what it costs the whole call, alternating which goes first.

    A sample's total is held against that of the same inference of which the two ends alone are noted. Around it the
    call waits until inputs are in their places and reads the clock afterwards: that costs no sample.
    """
    loaded, engine = shelf.get(target), shelf.engine(target)
    model = loaded.model
    setting = base_setting(CATALOGUE["moe_topk"], model.config)
    inputs = grid_inputs(loaded, load_picture(Picture()), setting.grid, "Describe this image.")
    clocks: tuple[StageClock, StageClock] = make_clock(Clock.EVENTS, model.device), _Ends(model.device)
    clocks[0].reserve(setting.output_tokens)

    def total(clock: StageClock) -> float:
        engine.infer(inputs, setting, clock)
        return clock.read().total

    def call(clock: StageClock | None) -> float:
        _wait(model.device)
        begin = time.perf_counter()
        engine.infer(inputs, setting, clock)
        _wait(model.device)
        took = time.perf_counter() - begin
        if clock:
            clock.read()
        return took

    for _ in range(3):
        total(clocks[0])
    sample = _ratio(lambda: total(clocks[0]), lambda: total(clocks[1]))
    whole = _ratio(lambda: call(clocks[0]), lambda: call(None))
    how = f"median of {_PAIRS} pairs"
    return [
        Figure("overhead", sample, "ratio", f"a sample's total / that of its ends alone, {how}", at_most(1.02)),
        Figure("overhead-call", whole, "ratio", f"the whole call with a clock / without, {how}"),
    ]


def _ratio(one: Callable[[], float], other: Callable[[], float]) -> float:
    """The median of the ratios of pairs, of which now the one and now the other goes first.

    Neighbours share what the machine is doing at the time.
    """
    pairs = []
    for number in range(_PAIRS):
        if number % 2:
            second, first = other(), one()
        else:
            first, second = one(), other()
        pairs.append(first / second)
    return statistics.median(pairs)


def duty(target: Target, shelf: ModelShelf) -> list[Figure]:
    """Which share of a run's wall time is measured, inference or preprocessing, once every setting is warm."""
    config = shelf.get(target).model.config
    experiment = CATALOGUE["context_scaling"]
    settings = build_settings(experiment, (1, 6, 12), base_setting(experiment, config))
    samples = samples_of(target, shelf, Sweep(experiment.name, settings, num_samples=30))
    warm = [sample for sample in samples if sample.round > 0]
    wall = warm[-1].elapsed_s + warm[-1].total_ms / 1e3 - warm[0].elapsed_s
    measured = sum(sample.total_ms + (sample.host_preprocessing_ms or 0) for sample in warm) / 1e3
    how = f"{len(warm)} one-token inferences with their preprocessing, 1×1 to 1×12"
    return [Figure("duty", measured / wall, "share", how, at_least(0.85))]


_ASKED: dict[str, dict[str, tuple[Bound, Bound | None]]] = {
    "eager": {"prefill 1×6": (at_most(35), None), "decode top-8": (at_most(35), None)},
    "compiled": {
        "vision 13 crops": (at_most(9), at_most(8)),
        "prefill 1×6": (at_most(5.5), at_most(4.5)),
        "prefill 1×12": (at_most(7.5), at_most(6.5)),
        "decode top-1": (at_most(0.576), at_most(0.5)),
        "decode top-8": (at_most(1.028), at_most(0.95)),
        "decode top-32": (at_most(2.7), at_most(2.6)),
    },
}
"""What is asked of each engine at MolmoE-1B's full shape on an H100 or H200, in milliseconds; of decode, a token."""


def _asked(target: Target, device: torch.device, name: str) -> tuple[Bound | None, Bound | None]:
    """What a figure of the model's speed must be, and is aimed to be; nothing for another shape or device."""
    if target.model != "molmoe-1b" or device.type != "cuda":
        return None, None
    return _ASKED.get(target.engine, {}).get(name, (None, None))


def speed(target: Target, shelf: ModelShelf) -> list[Figure]:
    """Vision encoder at 13 crops, prefill at 1×6 and 1×12, and decode at three top-k, medians."""
    model = shelf.get(target).model
    config = model.config
    context, topk = CATALOGUE["context_scaling"], CATALOGUE["moe_topk"]
    grids = build_settings(context, (6, 12), base_setting(context, config))
    choices = [value for value in (1, config.top_k, 32) if value <= config.num_experts]
    answers = build_settings(topk, choices, base_setting(topk, config))
    pictures = samples_of(target, shelf, Sweep(context.name, grids, num_samples=50))
    steps = samples_of(target, shelf, Sweep(topk.name, answers, num_samples=50))
    found = {
        "vision 13 crops": ([s.vision_encoder_ms for s in pictures if s.setting == 1], "1×12"),
        "prefill 1×6": ([s.llm_prefill_ms for s in pictures if s.setting == 0], "one token"),
        "prefill 1×12": ([s.llm_prefill_ms for s in pictures if s.setting == 1], "one token"),
    }
    for index, value in enumerate(choices):
        taken = [step for sample in steps if sample.setting == index for step in sample.decode_steps_ms]
        found[f"decode top-{value}"] = (taken, "1×1, each step")
    return [
        Figure(
            name,
            statistics.median(values),
            "ms",
            f"{how}, median of {len(values)}",
            *_asked(target, model.device, name),
        )
        for name, (values, how) in found.items()
        if values
    ]


def memory(target: Target, shelf: ModelShelf) -> list[Figure]:
    """Device memory that a sweep of sixteen settings takes with everything that it captured."""
    config, experiment = shelf.get(target).model.config, CATALOGUE["transformer_blocks_mask"]
    if shelf.get(target).model.device.type != "cuda":
        return []
    values = default_values(experiment, config)
    settings = build_settings(experiment, values, base_setting(experiment, config))
    torch.cuda.empty_cache()
    samples_of(target, shelf, Sweep(experiment.name, settings, num_samples=1))
    # Taken from the card, since the allocator does not see what graphs hold.
    free, total = torch.cuda.mem_get_info()
    how = f"in use on the card after {len(settings)} settings"
    return [Figure("memory", (total - free) / 1e9, "GB", how, at_most(40))]


def samples_of(target: Target, shelf: ModelShelf, sweep: Sweep) -> list[Sample]:
    """What a run of the sweep measures, spool and all."""
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as directory:
        spec = RunSpec.new(target, sweep)
        with SpoolWriter(Path(directory) / f"{spec.id}.jsonl") as writer:
            writer.run(spec)
            execute(spec, writer, shelf, lambda: False, lambda r: samples.append(r) if isinstance(r, Sample) else None)
    return samples


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
