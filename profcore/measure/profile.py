"""Why a setting takes as long as it does: a profile pass of its own, never mixed into samples.

A profiler slows the host down, so how long stages take is measured without it, and only kernels' own durations, which
it does not change, are taken from it. The GPU's busy share is the one over the other. On a CPU there is no device
apart from the host, so operators' durations are scaled by how much the profiler slowed their stage down.
"""

from __future__ import annotations

import gzip
import json
import statistics
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from profcore.engines.base import Timing
from profcore.engines.static import StaticEngine
from profcore.errors import UserError
from profcore.images.pictures import load_picture
from profcore.measure import trace
from profcore.measure.clock import make_clock
from profcore.measure.routing import prefill_experts
from profcore.models.inputs import grid_inputs
from profcore.roofline import cost
from profcore.spec.stages import MODEL_STAGES, Clock, Stage
from profcore.spec.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from profcore.engines.base import Engine
    from profcore.models.inputs import ModelInputs
    from profcore.models.load import LoadedModel
    from profcore.models.molmoe import MolmoE
    from profcore.spec.queries import Picture
    from profcore.spec.records import Ceilings
    from profcore.spec.settings import Setting

MOST_STEPS = 8
"""Decode steps that a profile pass looks at; more would make its trace large and say the same."""

_SAMPLES = 9


def explain(
    loaded: LoadedModel,
    engine: Engine,
    setting: Setting,
    picture: Picture,
    prompt: str,
    ceilings: Ceilings,
    trace_file: Path | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Where one setting's time goes, as plain values.

    Args:
        loaded: The model.
        engine: What executes it.
        setting: The knobs; at most `MOST_STEPS` decode steps are looked at.
        picture: What the model sees.
        prompt: The question put to it.
        ceilings: What the device can do at most.
        trace_file: Where the trace goes, gzipped; it opens in Perfetto and chrome://tracing.
        tell: Told what is being done.

    Returns:
        `steps` (decode steps looked at), `stages` (for each: `measured_ms`, `busy_ms`, `busy_share`, `kernels`,
        `issue_ms`, `floor_ms`, `over_floor`, `binds`), `parts` and `kernels` (see `measure.trace`), `busy_share`,
        `launch_bound`, `verdict` (a sentence).

    Raises:
        UserError: The setting is not one of the model's.
        PreparationError: It cannot be compiled or captured.
    """
    if hasattr(loaded.model, "turned"):
        raise UserError("Where time goes is told of MolmoE alone, whose parts are known: give a MolmoE as --model.")
    setting = replace(setting, output_tokens=min(setting.output_tokens, MOST_STEPS + 1))
    inputs = grid_inputs(loaded, load_picture(picture), setting.grid, prompt)
    routed = prefill_experts(loaded.model, inputs, setting)
    engine.prepare(inputs, setting, tell)
    tell("Measuring without the profiler")
    engine.infer(inputs, setting)
    timings = [_timed(engine, inputs, setting) for _ in range(_SAMPLES)]
    tell("Profiling")
    found = _kernels(loaded, engine, inputs, setting, timings, trace_file)
    workload = cost.Workload(
        inputs.num_crops,
        inputs.num_input_tokens,
        setting.output_tokens,
        setting.top_k,
        setting.active_blocks,
        routed,
    )
    costs = cost.stage_costs(loaded.model.config, workload, loaded.model.dtype.itemsize)
    stages = [
        _stage(stage, timings, found, cost.floor(cost.total(costs[stage]), ceilings), place)
        for place, stage in enumerate(MODEL_STAGES)
        if stage is not Stage.LLM_DECODE or setting.output_tokens > 1
    ]
    total = sum(stage["measured_ms"] for stage in stages)
    share = min(sum(stage["busy_ms"] for stage in stages) / total, 1.0)
    on_gpu = loaded.model.device.type == "cuda"
    return {
        "setting": setting.to_dict(),
        "steps": setting.output_tokens - 1,
        "on_gpu": on_gpu,
        "stages": stages,
        "parts": trace.by_part(found),
        "kernels": trace.top_kernels(found),
        "busy_share": share,
        **_verdict(stages, share, on_gpu),
    }


def device_span_ms(model: MolmoE, engine: Engine, inputs: ModelInputs, setting: Setting) -> float:
    """From the start of an inference's first kernel to the end of its last, by the card's own clock; a GPU's alone."""
    found = trace.kernels(_profiled(lambda: _inference(model, engine, inputs, setting), None))
    return (max(kernel.end for kernel in found) - min(kernel.start for kernel in found)) / 1e3


def _kernels(
    loaded: LoadedModel,
    engine: Engine,
    inputs: ModelInputs,
    setting: Setting,
    timings: list[Timing],
    trace_file: Path | None,
) -> list[trace.Kernel]:
    """The kernels of one profiled inference, each with the stage and the part of the model that it is of."""
    events = _profiled(lambda: _inference(loaded.model, engine, inputs, setting), trace_file)
    found = trace.kernels(events)
    if loaded.model.device.type != "cuda":
        spans = trace.stage_spans(events)
        return trace.scaled(found, {stage: _median(timings, Stage(stage)) * 1e3 / spans[stage] for stage in spans})
    found = trace.exclusive(found)
    if not isinstance(engine, StaticEngine):
        return found

    def uncaptured() -> None:
        with _parts_named(loaded.model):
            engine.uncaptured(inputs, setting, setting.output_tokens - 1)

    return trace.name_parts(found, trace.kernels(_profiled(uncaptured, None)))


def _timed(engine: Engine, inputs: ModelInputs, setting: Setting) -> Timing:
    clock = make_clock(Clock.EVENTS, inputs.device)
    engine.infer(inputs, setting, clock)
    return clock.read()


def _median(timings: list[Timing], stage: Stage) -> float:
    return statistics.median(timing.stages[stage] for timing in timings)


def _stage(
    stage: Stage, timings: list[Timing], found: list[trace.Kernel], floor: cost.Floor, place: int
) -> dict[str, Any]:
    measured = _median(timings, stage)
    issued = [timing.issue[place] for timing in timings if timing.issue]
    issue = statistics.median(issued) if issued else None
    own = [kernel for kernel in found if kernel.stage == stage]
    busy = sum(kernel.duration for kernel in own) / 1e3
    # A host that issues for as long as the device is busy has waited for it, as where code looks at a tensor's value.
    waited = busy >= cost.LAUNCH_SHARE * measured
    return {
        "stage": str(stage),
        "measured_ms": measured,
        "busy_ms": busy,
        # Kernels may be a little slower under the profiler than without it.
        "busy_share": min(busy / measured, 1.0),
        "kernels": len(own),
        "issue_ms": issue,
        "floor_ms": floor.ms,
        "over_floor": measured / floor.ms,
        "binds": cost.binding(floor, measured, 0.0 if waited and issue is not None else issue),
    }


def _verdict(stages: list[dict[str, Any]], share: float, on_gpu: bool) -> dict[str, Any]:
    kernels = sum(stage["kernels"] for stage in stages)
    if not on_gpu:
        text = f"On this CPU, {share:.0%} of the time is spent inside {kernels:,} operators, the rest in Python."
        return {"launch_bound": False, "verdict": text}
    slow = [stage for stage in stages if stage["binds"] == "launch"]
    weight = sum(stage["measured_ms"] for stage in slow) / sum(stage["measured_ms"] for stage in stages)
    bound = weight > 0.5
    if bound:
        text = (
            f"Launch-bound: the GPU works {share:.0%} of the time and waits for the host to launch {kernels:,} "
            "kernels the rest. What is measured is the launching, not the knob."
        )
    else:
        text = f"Not launch-bound: the GPU works {share:.0%} of the time, on {counted(kernels, 'kernel')}."
    return {"launch_bound": bound, "verdict": text}


class _RangeClock:
    """Opens a range for each stage and step, so that a profiler knows them."""

    def __init__(self) -> None:
        self._open: Any = None

    def reserve(self, output_tokens: int) -> None:
        """Nothing: a range is made as it is opened."""

    def start(self) -> None:
        self._begin(Stage.VISION_ENCODER)

    def mark(self, stage: Stage) -> None:
        following = MODEL_STAGES[MODEL_STAGES.index(stage) + 1]
        self._begin(following)

    def step(self) -> None:
        self._begin(Stage.LLM_DECODE)

    def finish(self) -> None:
        self._open.__exit__(None, None, None)

    def read(self) -> Timing:
        raise NotImplementedError("this clock tells a profiler, it takes no time")

    def _begin(self, stage: Stage) -> None:
        if self._open:
            self._open.__exit__(None, None, None)
        self._open = record_function(f"stage:{stage}")
        self._open.__enter__()


def _inference(model: MolmoE, engine: Engine, inputs: ModelInputs, setting: Setting) -> None:
    with _parts_named(model):
        engine.infer(inputs, setting, _RangeClock())


def _profiled(work: Callable[[], None], trace_file: Path | None) -> list[dict[str, Any]]:
    """Run work under the profiler, twice since its first run pays for its start, and give the second's events."""
    gpu = torch.cuda.is_available()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "trace.json"
        for _ in range(2):
            with profile(activities=activities) as profiler:
                work()
                if gpu:
                    torch.cuda.synchronize()
        profiler.export_chrome_trace(str(path))
        data = path.read_bytes()
    if trace_file is not None:
        trace_file.parent.mkdir(parents=True, exist_ok=True)
        trace_file.write_bytes(gzip.compress(data, compresslevel=6))
    return json.loads(data)["traceEvents"]


@contextmanager
def _parts_named(model: MolmoE) -> Iterator[None]:
    """Inside, the parts of every block open a range of their own."""
    hooks: list[Any] = []

    def name(module: torch.nn.Module, part: str) -> None:
        ranges: list[Any] = []

        def enter(*arguments: Any) -> None:
            ranges.append(record_function(f"part:{part}"))
            ranges[-1].__enter__()

        def leave(*arguments: Any) -> None:
            ranges.pop().__exit__(None, None, None)

        hooks.extend((module.register_forward_pre_hook(enter), module.register_forward_hook(leave)))

    for layer in model.llm.model.layers:
        name(layer.self_attn, "attention")
        name(layer.mlp.gate, "router")
        name(layer.mlp.experts, "experts")
        for norm in (layer.input_layernorm, layer.post_attention_layernorm, *_query_key_norms(layer)):
            name(norm, "norms")
    for layer in model.vision.encoder.layers:
        name(layer.self_attn, "attention")
        name(layer.mlp, "mlp")
        name(layer.layer_norm1, "norms")
        name(layer.layer_norm2, "norms")
    name(model.llm.model.norm, "norms")
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _query_key_norms(layer: Any) -> tuple[torch.nn.Module, torch.nn.Module]:
    return layer.self_attn.q_norm, layer.self_attn.k_norm
