"""The sampling loop: warm-up, visiting order, and what happens when a setting cannot be measured."""

from __future__ import annotations

import gc
import random
import time
from collections import OrderedDict
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from profcore.engines.base import PreparationError, StopRequestedError
from profcore.errors import UserError
from profcore.images.pictures import load_picture
from profcore.measure.clock import make_clock
from profcore.measure.quality import Quality, QualityMeter
from profcore.measure.routing import prefill_experts
from profcore.measure.telemetry import Telemetry
from profcore.models.inputs import ModelInputs, grid_inputs, picture_inputs
from profcore.models.knobs import check_setting
from profcore.spec.records import Sample
from profcore.spec.runs import Sweep
from profcore.spec.settings import Setting
from profcore.spec.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from profcore.engines.base import Engine
    from profcore.models.load import LoadedModel

_MOST_INPUTS = 64


@dataclass(frozen=True)
class SettingFailed:
    """A setting that gives no further sample, and why."""

    setting: int
    reason: str


@dataclass(frozen=True)
class SettingQuality:
    """What a setting costs in quality (see `measure.quality`)."""

    setting: int
    quality: Quality


@dataclass(frozen=True)
class QualityFailed:
    """A setting whose quality could not be found, and why; its samples stand."""

    setting: int
    reason: str


@dataclass(frozen=True)
class Routing:
    """How many distinct experts a setting's prefill uses, for each active block."""

    setting: int
    prefill_experts: tuple[int, ...]


Result = Sample | SettingFailed | Routing | SettingQuality | QualityFailed
"""What measuring a sweep gives, one after another."""


def run_sweep(
    loaded: LoadedModel,
    engine: Engine,
    sweep: Sweep,
    telemetry: Telemetry,
    stop: Callable[[], bool],
    tell: Callable[[str], None] = lambda text: None,
) -> Iterator[Result]:
    """Measure a sweep, giving each sample as it is taken.

    Settings are visited round by round, each round in a new random order, so that drift of the machine does not
    look like the knob. The first visit to a setting compiles and captures what its engine needs and warms it, at its
    own shape and full output length, right before its first sample; so the first samples come early and none is cold.

    Args:
        loaded: The model; its knobs are turned for each inference and back.
        engine: What executes the model.
        sweep: What to measure.
        telemetry: Read after each sample.
        stop: Asked before each inference and decode step; when it says so, what is under way is thrown away.
        tell: Told, in words, what is being done where it is not measuring.

    Raises:
        UserError: A setting is not one of this model's, or none could be measured.
        StopRequestedError: `stop` said so.
    """
    for setting in sweep.settings:
        check_setting(setting, loaded.model.config)
    sampling = _Sampling(loaded, engine, sweep, telemetry, stop, tell)
    order = random.Random(sweep.seed)
    with _quiet_garbage_collector():
        for visit in range(sweep.num_samples):
            for index in order.sample(sampling.alive, len(sampling.alive)):
                yield from sampling.visit(index, visit)
    if not sampling.taken:
        raise UserError(f"No setting could be measured: {sampling.reason}")
    if sweep.quality:
        # After all samples, which it must not disturb.
        yield from _qualities(loaded, sweep, sampling.alive, stop, tell)


class _Sampling:
    """A sweep while it is being measured.

    Attributes:
        alive: The settings that have not failed.
        taken: How many samples there are.
        reason: Why the last setting failed that did.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        engine: Engine,
        sweep: Sweep,
        telemetry: Telemetry,
        stop: Callable[[], bool],
        tell: Callable[[str], None],
    ) -> None:
        self._model, self._engine, self._sweep = loaded.model, engine, sweep
        self._telemetry, self._stop, self._tell = telemetry, stop, tell
        self._clock = make_clock(sweep.clock, loaded.model.device)
        self._inputs = Inputs(loaded, sweep)
        # What is generated; an answer that ends early has fewer tokens than its setting allows.
        self._measured = list(sweep.settings)
        self._extra_memory: dict[int, int | None] = {}
        self._routed: dict[Any, tuple[int, ...]] = {}
        self._begin = time.perf_counter()
        self.alive = list(range(len(sweep.settings)))
        self.taken, self.reason = 0, ""

    def visit(self, index: int, visit: int) -> Iterator[Sample | SettingFailed | Routing]:
        """Measure a setting once; the first time, get it ready and count its experts too."""
        try:
            given = self._inputs.of(index)
            check_context(given.num_input_tokens, self._measured[index], self._model.config.max_positions)
            if visit == 0:
                self._get_ready(index, given)
            elapsed = self._infer(index, given)
        except (torch.cuda.OutOfMemoryError, PreparationError, UserError) as error:
            self.reason = failure_reason(error, self._model.device)
            self.alive.remove(index)
            yield SettingFailed(index, self.reason)
            return
        yield self._sample(index, visit, given, elapsed)
        if visit == 0:
            # After the first sample, which is not to wait for it, and before any other of this setting.
            with suppress(torch.cuda.OutOfMemoryError):
                yield Routing(index, self._experts(index, given))

    def _get_ready(self, index: int, given: ModelInputs) -> None:
        """Compile, capture and warm a setting, and learn where its answer ends if that is asked."""
        sweep, engine = self._sweep, self._engine
        self._extra_memory[index] = _prepare(engine, given, sweep, index, self._tell)
        if sweep.stop_at_eos:
            end = self._model.config.eos_token_id
            self._measured[index] = _ended(engine, given, self._measured[index], end, self._stop)
        for _ in range(sweep.warmup):
            engine.infer(given, self._measured[index], None, self._stop)

    def _infer(self, index: int, given: ModelInputs) -> float:
        """One timed inference; returns the seconds from the run's beginning to its own."""
        if self._stop():
            raise StopRequestedError
        elapsed = time.perf_counter() - self._begin
        _reset_peak_memory(self._model.device)
        self._engine.infer(given, self._measured[index], self._clock, self._stop)
        return elapsed

    def _sample(self, index: int, visit: int, given: ModelInputs, elapsed: float) -> Sample:
        """What the clock, the device and the inputs say of the inference that has just ended."""
        timing = self._clock.read()
        taken, self.taken = self.taken, self.taken + 1
        return Sample(
            sample_id=taken,
            setting=index,
            round=visit,
            elapsed_s=round(elapsed, 6),
            vision_encoder_ms=timing.stages[Stage.VISION_ENCODER],
            projector_ms=timing.stages[Stage.PROJECTOR],
            llm_prefill_ms=timing.stages[Stage.LLM_PREFILL],
            llm_decode_ms=timing.stages[Stage.LLM_DECODE],
            other_ms=timing.other,
            total_ms=timing.total,
            decode_steps_ms=timing.steps,
            num_crops=given.num_crops,
            num_vision_tokens=given.num_vision_tokens,
            num_input_tokens=given.num_input_tokens,
            num_output_tokens=self._measured[index].output_tokens,
            peak_memory_bytes=_peak_memory(self._model.device, self._extra_memory[index]),
            telemetry=self._telemetry.read(),
            issue_ms=timing.issue,
            step_issue_ms=timing.step_issue,
            processing_ms=round(given.processing_ms, 4) if self._sweep.plan else None,
        )

    def _experts(self, index: int, given: ModelInputs) -> tuple[int, ...]:
        """The distinct experts of a setting's prefill; counted once for settings whose prefill is the same."""
        setting = self._measured[index]
        key = (self._inputs.key(index), setting.top_k, setting.block_mask)
        if key not in self._routed:
            self._routed[key] = prefill_experts(self._model, given, setting)
        return self._routed[key]


def _qualities(
    loaded: LoadedModel, sweep: Sweep, alive: list[int], stop: Callable[[], bool], tell: Callable[[str], None]
) -> Iterator[SettingQuality | QualityFailed]:
    """What each setting costs in quality; what cannot be found fails alone, since the samples stand without it."""
    assert sweep.quality
    found: dict[Any, SettingQuality | QualityFailed] = {}
    meter: QualityMeter | None = None
    for index in alive:
        setting = sweep.settings[index]
        knobs = (setting.top_k, setting.block_mask)
        if knobs not in found:
            tell(f"Quality of setting {index + 1} of {len(sweep.settings)}")
            try:
                meter = meter or QualityMeter(loaded, sweep.quality.queries, stop)
                found[knobs] = SettingQuality(index, meter.of(setting))
            except StopRequestedError:
                raise
            except Exception as error:
                # Whatever it is, hours of samples do not depend on it.
                found[knobs] = QualityFailed(index, _quality_reason(error))
        yield replace(found[knobs], setting=index)


def _quality_reason(error: Exception) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, torch.cuda.OutOfMemoryError):
        torch.cuda.empty_cache()
        return "Out of GPU memory."
    first = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {first}"


def _ended(
    engine: Engine, inputs: ModelInputs, setting: Setting, eos_token_id: int, stop: Callable[[], bool]
) -> Setting:
    """The setting with as many output tokens as its answer has up to the end-of-text token.

    Greedy answers are always the same, so how long one is can be learnt from an untimed inference. The timed ones
    then generate just that many, and the host need not wait for every token to look at it.
    """
    tokens, _ = engine.infer(inputs, setting, None, stop)
    ends = (tokens == eos_token_id).nonzero()
    return replace(setting, output_tokens=int(ends[0, 0]) + 1) if len(ends) else setting


def _prepare(engine: Engine, inputs: ModelInputs, sweep: Sweep, index: int, tell: Callable[[str], None]) -> int | None:
    """Get a setting ready, saying so where it takes long."""
    told = []

    def told_of(text: str) -> None:
        told.append(text)
        tell(f"{text} for setting {index + 1} of {len(sweep.settings)}")

    memory = engine.prepare(inputs, sweep.settings[index], told_of)
    if told:
        tell("Measuring")
    return memory


def check_context(prompt_tokens: int, setting: Setting, longest: int) -> None:
    """Whether a prompt and what is generated after it fit a model's context.

    Raises:
        UserError: They do not.
    """
    # The last token that is generated is not fed back, and takes no position.
    if prompt_tokens + setting.output_tokens - 1 > longest:
        raise UserError(
            f"{prompt_tokens} prompt and {setting.output_tokens} output tokens, of which the last is not fed back, "
            f"are more than the model's context of {longest}."
        )


def failure_reason(error: Exception, device: torch.device) -> str:
    """Why a setting could not be measured, in a sentence."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, PreparationError):
        return f"It could not be compiled and captured ({error})."
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory / 2**30
    return f"Out of GPU memory: this setting needs more than is free of the {total:.0f} GiB of {device}."


def _reset_peak_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _peak_memory(device: torch.device, extra: int | None) -> int | None:
    """Device memory that an inference took at most, what a captured graph keeps for itself included."""
    return torch.cuda.max_memory_allocated(device) + (extra or 0) if device.type == "cuda" else None


class Inputs:
    """What each setting of a sweep shows the model; those made last are kept on the device."""

    def __init__(self, loaded: LoadedModel, sweep: Sweep) -> None:
        """Read the sweep's picture, unless it has queries, whose pictures are read when they are needed.

        Raises:
            UserError: The picture cannot be read.
        """
        self._loaded, self._sweep = loaded, sweep
        self._image = None if sweep.plan else load_picture(sweep.picture)
        self._kept: OrderedDict[Any, ModelInputs] = OrderedDict()

    def key(self, index: int) -> Any:
        """What a setting's inputs depend on."""
        sweep, grid = self._sweep, self._sweep.settings[index].grid
        return (sweep.plan.of_setting[index], grid) if sweep.plan else grid

    def of(self, index: int) -> ModelInputs:
        """A setting's inputs.

        Raises:
            UserError: Its picture cannot be read, or the prompt is longer than the model's context.
        """
        key = self.key(index)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        made = self._make(index)
        while len(self._kept) >= _MOST_INPUTS:
            self._kept.popitem(last=False)
        self._kept[key] = made
        return made

    def _make(self, index: int) -> ModelInputs:
        sweep, grid = self._sweep, self._sweep.settings[index].grid
        if sweep.plan is None:
            assert self._image
            return grid_inputs(self._loaded, self._image, grid, sweep.prompt)
        query = sweep.plan.query(index)
        image = load_picture(query.picture)
        if sweep.plan.fitted:
            return grid_inputs(self._loaded, image, grid, query.question)
        return picture_inputs(self._loaded, image, self._loaded.model.config.max_crops, query.question)


@contextmanager
def _quiet_garbage_collector() -> Iterator[None]:
    """Keep Python's collector from walking the loaded modules in the middle of an inference.

    Everything that exists is set aside, so that what a collection still walks is small.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
