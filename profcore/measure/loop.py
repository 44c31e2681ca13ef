"""The sampling loop: warm-up, visiting order, and what happens when a setting cannot be measured."""

from __future__ import annotations

import logging
import random
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from profcore.engines.base import PreparationError, StopRequestedError
from profcore.errors import UserError
from profcore.experiments.knobs import JOINT, setting_words
from profcore.images.pictures import timed_picture
from profcore.measure import garbage
from profcore.measure.answer import answer_text
from profcore.measure.clock import make_clock
from profcore.measure.energy import EnergyFailed, EnergyPass, SettingEnergy, energy_reason, energy_refusal
from profcore.measure.enough import Enough
from profcore.measure.family_work import FamilyWorks
from profcore.measure.quality import Quality, QualityMeter
from profcore.measure.routing import prefill_experts
from profcore.measure.stage_memory import StagePeaks, stage_peaks
from profcore.measure.telemetry import Telemetry
from profcore.models.context import check_context
from profcore.models.families.shape import FamilyShape
from profcore.models.inputs import ModelInputs, fitted, picture_inputs
from profcore.models.knobs import check_setting
from profcore.spec.begun import Begun
from profcore.spec.environments import uncaptured_of
from profcore.spec.records import Sample, StageWork
from profcore.spec.runs import Sweep
from profcore.spec.settings import Setting
from profcore.spec.stages import Stage
from profcore.spec.until import StoppedBy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PIL.Image import Image
    from torch import Tensor

    from profcore.engines.base import Engine
    from profcore.models.load import LoadedModel
    from profcore.spec.queries import Picture
    from profcore.spec.runs import Shard

_log = logging.getLogger(__name__)

_MOST_INPUTS = 64
LONGEST_ANSWER = 1_000
"""Letters of an answer that are kept."""
NOTHING_BEGUN = Begun()


@dataclass(frozen=True)
class SettingFailed:
    """A setting that gives no further sample, and why."""

    setting: int
    reason: str


@dataclass(frozen=True)
class SettingEnded:
    """A setting that has enough samples, and by which rule."""

    setting: int
    by: StoppedBy


@dataclass(frozen=True)
class Answer:
    """What the model answered at a setting, as text."""

    setting: int
    text: str


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


@dataclass(frozen=True)
class SettingWork:
    """What an inference at a setting computes and moves, by stage, of a model without formulas of its own."""

    setting: int
    work: tuple[StageWork, ...]


@dataclass(frozen=True)
class Uncaptured:
    """Why stages run without a graph under an engine that captures others, by the stage, of all settings so far."""

    reasons: dict[str, str]


Result = (
    Sample
    | SettingFailed
    | SettingEnded
    | Answer
    | Routing
    | SettingWork
    | Uncaptured
    | SettingQuality
    | QualityFailed
    | SettingEnergy
    | EnergyFailed
)
"""What measuring a sweep gives, one after another."""


def run_sweep(
    loaded: LoadedModel,
    engine: Engine,
    sweep: Sweep,
    telemetry: Telemetry,
    stop: Callable[[], bool],
    tell: Callable[[str], None] = lambda text: None,
    begun: Begun = NOTHING_BEGUN,
    at: Callable[[int, bool], None] = lambda setting, preparing: None,
    shard: Shard | None = None,
) -> Iterator[Result]:
    """Measure a sweep, giving each sample as it is taken.

    Settings are visited round by round, each round in a new random order, so that drift of the machine does not
    look like the knob. The first visit to a setting compiles and captures what its engine needs and warms it, at its
    own shape and full output length, right before its first sample; so the first samples come early and none is cold.
    A run that goes on visits what is left in the order that it would have had, each setting got ready and warmed anew.
    A setting that has enough samples (see `measure.enough`) is left out of the rounds that follow.

    Args:
        loaded: The model; its knobs are turned for each inference and back.
        engine: What executes the model.
        sweep: What to measure.
        telemetry: Read after each sample.
        stop: Asked before each inference and decode step; when it says so, what is under way is thrown away.
        tell: Told, in words, what is being done where it is not measuring.
        begun: What the run has already, which is not measured again.
        at: Told of each setting that it comes now, and whether it is got ready or measured.
        shard: The part of the sweep that is measured; None for all of it.

    Raises:
        UserError: A setting is not one of this model's, or none could be measured.
        StopRequestedError: `stop` said so.
    """
    for setting in sweep.settings:
        check_setting(setting, loaded.model.config)
    sampling = _Sampling(loaded, engine, sweep, telemetry, stop, tell, begun, at, shard)
    order = random.Random(sweep.seed)
    with garbage.quiet():
        for visit in range(sweep.num_samples):
            for index in order.sample(sampling.open, len(sampling.open)):
                if begun.fails(index, visit):
                    sampling.drop(index)
                    continue
                if not begun.has(index, visit):
                    yield from sampling.visit(index, visit)
                yield from sampling.enough(index, visit)
        yield from sampling.uncounted()
    if not sampling.taken:
        raise UserError(f"No setting could be measured: {sampling.reason}")
    if sweep.quality:
        # After all samples, which it must not disturb.
        left = [index for index in sampling.own if index not in begun.quality]
        yield from _qualities(loaded, sweep, left, stop, tell)
    if sweep.energy:
        yield from sampling.energies([index for index in sampling.own if index not in begun.energy])


class _Sampling:
    """A sweep while it is being measured.

    Attributes:
        alive: The settings that have not failed.
        open: Those of them that have not enough samples.
        taken: How many samples there are; the number of the next.
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
        begun: Begun,
        at: Callable[[int, bool], None],
        shard: Shard | None,
    ) -> None:
        self._loaded, self._model, self._engine, self._sweep = loaded, loaded.model, engine, sweep
        self._telemetry, self._stop, self._tell, self._at = telemetry, stop, tell, at
        self._clock = make_clock(sweep.clock, loaded.model.device)
        self._inputs = Inputs(loaded, sweep)
        # What is generated; an answer that ends early has fewer tokens than its setting allows.
        self._measured = list(sweep.settings)
        # What is kept of each setting that is ready.
        self._extra_memory: dict[int, int | None] = {}
        self._stage_peaks: dict[int, StagePeaks] = {}
        self._routed: dict[Any, tuple[int, ...]] = {}
        self._works = FamilyWorks(loaded.model)
        everything = range(len(sweep.settings))
        self._own = frozenset(shard.own if shard else everything)
        # What is no latency is measured by the shard whose setting it is.
        others = set(everything) - self._own
        self._counted = set(begun.routed) | others
        # MolmoE's work follows from its shape.
        by_formula = not hasattr(loaded.model, "turned")
        self._worked = set(everything) if by_formula else set(begun.worked) | others
        self._answered: set[int] = set()
        self._begin = time.perf_counter() - begun.elapsed_s
        self._enough = Enough(sweep)
        self._begun = begun
        # What a run that goes on has said before stays said.
        self._uncaptured, self._is_news = uncaptured_of(begun.environment or {}), False
        self.alive = list(shard.visited if shard else everything)
        self.open = list(self.alive)
        self.taken, self.reason = begun.next_sample, next(iter(begun.failed.values()), "")

    def visit(self, index: int, visit: int) -> Iterator[Result]:
        """Measure a setting once; the first time here, get it ready before, and look at what else is asked after."""
        try:
            given = self._inputs.of(index)
            check_context(given.num_input_tokens, self._measured[index], self._model.config.max_positions)
            if index not in self._extra_memory:
                self._at(index, True)
                self._get_ready(index, given)
                self._look_at_captures(index, given)
            self._at(index, False)
            if self._stop():
                raise StopRequestedError
            preprocessing_ms = self._inputs.preprocessing_ms(index)
            elapsed, tokens = self._infer(index, given)
        except (torch.cuda.OutOfMemoryError, PreparationError, UserError) as error:
            self.reason = failure_reason(error, self._model.device)
            self.drop(index)
            self._tell("Measuring")
            yield SettingFailed(index, self.reason)
            return
        sample = self._sample(index, visit, given, elapsed, preprocessing_ms)
        self._enough.add(index, sample.total_ms)
        yield sample
        yield from self._said_uncaptured()
        # After the first sample, which is not to wait for it, and before any other of this setting.
        yield from self._answer(index, tokens)
        yield from self._count_experts(index, given)
        yield from self._count_work(index, given)

    def _look_at_captures(self, index: int, given: ModelInputs) -> None:
        """Note which stages of a setting that is ready are not captured; what was noted of one stays."""
        reasons = getattr(self._engine, "reasons", None)
        if reasons is None:
            return
        found = {str(stage): reason for stage, reason in reasons(given, self._sweep.settings[index]).items()}
        self._is_news |= bool(found.keys() - self._uncaptured.keys())
        self._uncaptured = {**found, **self._uncaptured}

    def _said_uncaptured(self) -> Iterator[Uncaptured]:
        """What was noted, once a setting of it was measured."""
        if self._is_news:
            self._is_news = False
            yield Uncaptured(dict(self._uncaptured))

    @property
    def own(self) -> list[int]:
        """The settings that have not failed and are no other shard's."""
        return [index for index in self.alive if index in self._own]

    def drop(self, index: int) -> None:
        """Measure a setting no more, since it failed."""
        self.alive.remove(index)
        self.open.remove(index)

    def enough(self, index: int, visit: int) -> Iterator[SettingEnded]:
        """Leave a setting out from now on that has enough samples, and say so unless the run has it already."""
        if self._begun.has(index, visit):
            self._enough.add(index, self._begun.totals.get(index, {}).get(visit))
        by = self._enough.stopped_by(index) if index in self.open else None
        if by is None:
            return
        self.open.remove(index)
        if index not in self._begun.ended:
            yield SettingEnded(index, by)

    def uncounted(self) -> Iterator[Routing | SettingWork]:
        """Count what was not counted of settings of which all else is measured; a process was killed between."""
        for index in [index for index in self.alive if index not in self._counted & self._worked]:
            with suppress(UserError):
                given = self._inputs.of(index)
                yield from self._count_experts(index, given)
                yield from self._count_work(index, given)

    def energies(self, settings: list[int]) -> Iterator[SettingEnergy | EnergyFailed]:
        """What settings take in joules; what cannot be found fails alone, since the samples stand without it."""
        device, card = self._model.device, self._telemetry.card
        refusal = energy_refusal(device, card)
        if card is None or refusal:
            yield from (EnergyFailed(index, refusal) for index in settings)
            return
        measuring = EnergyPass(self._engine, card, self._stop, lambda: torch.cuda.synchronize(device))
        for index in settings:
            self._tell(f"Energy of {_named(self._sweep, index)}")
            try:
                given = self._inputs.of(index)
                found = measuring.of(given, self._measured[index], self._inputs.key(index))
                yield SettingEnergy(index, found)
            except StopRequestedError:
                raise
            except Exception as error:
                # Whatever it is, hours of samples do not depend on it.
                yield EnergyFailed(index, energy_reason(error))

    def _answer(self, index: int, tokens: Tensor) -> Iterator[Answer]:
        """What was answered to a question of a setting's own; random weights answer nothing that means anything."""
        if self._sweep.plan and self._loaded.weights == "real" and index not in self._answered:
            self._answered.add(index)
            yield Answer(index, answer_text(self._loaded, tokens.tolist())[:LONGEST_ANSWER])

    def _count_experts(self, index: int, given: ModelInputs) -> Iterator[Routing]:
        if index in self._counted:
            return
        self._counted.add(index)
        # A model without experts has none to count, and one that computes all of them no choice.
        if self._model.config.top_k_reason:
            return
        with suppress(torch.cuda.OutOfMemoryError):
            yield Routing(index, self._experts(index, given))

    def _count_work(self, index: int, given: ModelInputs) -> Iterator[SettingWork]:
        """What a setting computes and moves, of a model that has no formulas; it is no reason to fail if that fails."""
        if index in self._worked:
            return
        self._worked.add(index)
        try:
            yield SettingWork(index, self._works.of(self._inputs.key(index), given, self._measured[index]))
        except StopRequestedError:
            raise
        except Exception:
            # A floor is not drawn then; hours of samples do not depend on it.
            _log.warning("the work of setting %s could not be counted", index, exc_info=True)

    def _get_ready(self, index: int, given: ModelInputs) -> None:
        """Compile, capture and warm a setting, and learn where its answer ends if that is asked."""
        sweep, engine = self._sweep, self._engine
        named, said = _named(sweep, index), []

        def say(text: str) -> None:
            said.append(text)
            self._tell(f"{text} {named}")

        self._extra_memory[index] = engine.prepare(given, sweep.settings[index], lambda text: say(f"{text} for"))
        if sweep.warmup or sweep.stop_at_eos:
            say("Warming up at")
        if sweep.stop_at_eos:
            end = self._model.config.eos_token_id
            self._measured[index] = _ended(engine, given, self._measured[index], end, self._stop)
        for _ in range(sweep.warmup - 1):
            engine.infer(given, self._measured[index], None, self._stop)
        if sweep.warmup:
            self._stage_peaks[index] = stage_peaks(engine, given, self._measured[index], self._stop)
        self._clock.reserve(self._measured[index].output_tokens)
        if said:
            self._tell("Measuring")

    def _infer(self, index: int, given: ModelInputs) -> tuple[float, Tensor]:
        """One timed inference; returns the seconds from the run's beginning to its own, and its tokens."""
        elapsed = time.perf_counter() - self._begin
        _reset_peak_memory(self._model.device)
        tokens, _ = self._engine.infer(given, self._measured[index], self._clock, self._stop)
        return elapsed, tokens

    def _sample(self, index: int, visit: int, given: ModelInputs, elapsed: float, preprocessing_ms: float) -> Sample:
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
            host_preprocessing_ms=round(preprocessing_ms, 4),
            picture_reading_ms=self._inputs.take_reading_ms(),
            **self._stage_peaks.get(index, {}),
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
    meter = QualityMeter(loaded, sweep.quality.queries, stop)
    for index in alive:
        knobs = _judged_by(sweep, index)
        if knobs not in found:
            tell(f"Quality of {_named(sweep, index)}")
            try:
                found[knobs] = SettingQuality(index, _quality_of(meter, sweep, index))
            except StopRequestedError:
                raise
            except Exception as error:
                # Whatever it is, hours of samples do not depend on it.
                found[knobs] = QualityFailed(index, _quality_reason(error))
        yield replace(found[knobs], setting=index)


def _judged_by(sweep: Sweep, index: int) -> Any:
    """What a setting's quality depends on."""
    setting = sweep.settings[index]
    if sweep.experiment != JOINT.name:
        return setting.top_k, setting.block_mask
    return setting, sweep.plan.of_setting[index] if sweep.plan else None


def _quality_of(meter: QualityMeter, sweep: Sweep, index: int) -> Quality:
    setting = sweep.settings[index]
    if sweep.experiment != JOINT.name:
        return meter.of(setting)
    # Of real pictures each setting is one of them.
    return meter.of_joint(setting, sweep.plan.of_setting[index] if sweep.plan else None)


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


def _named(sweep: Sweep, index: int) -> str:
    """A setting in words, with its place among the sweep's."""
    words, place = setting_words(sweep.experiment, sweep.settings[index]), f"{index + 1} of {len(sweep.settings)}"
    return f"{words} ({place})" if words else f"setting {place}"


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
        self._reading_ms: float | None = None
        self._image = None if sweep.plan else self._read(sweep.picture)
        self._kept: OrderedDict[Any, ModelInputs] = OrderedDict()
        self._fitted: dict[tuple[int, int], Image] = {}

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

    def preprocessing_ms(self, index: int) -> float:
        """How long a setting's inputs take to make, by making them once more and letting them go.

        What inferences are run on stays where it is. Reading and decoding the picture is not in it, nor is fitting it
        to a sweep's grid, which no user does.

        Raises:
            UserError: As `of`.
        """
        return self._make(index).host_preprocessing_ms

    def take_reading_ms(self) -> float | None:
        """How long the file of the picture that was made inputs of last took to be read and decoded.

        Given once for each time that it was: real pictures are before each sample, a sweep's one picture is when the
        sweep begins. None where it was not again since, or where the picture has no file.
        """
        taken, self._reading_ms = self._reading_ms, None
        return None if taken is None else round(taken, 4)

    def _read(self, picture: Picture) -> Image:
        image, self._reading_ms = timed_picture(picture)
        return image

    def _make(self, index: int) -> ModelInputs:
        picture, most_crops, question = self._shown(index)
        plan, settings = self._sweep.plan, self._sweep.settings
        # Fitted to a grid, MolmoE's own rule gives just that; models of families are told it.
        told = isinstance(self._loaded.model.config, FamilyShape) and (plan is None or plan.fitted)
        if told or (plan and plan.tiers):
            return picture_inputs(self._loaded, picture, most_crops, question, settings[index].grid)
        return picture_inputs(self._loaded, picture, most_crops, question)

    def _shown(self, index: int) -> tuple[Image, int, str]:
        """A setting's picture in memory, the most crops that it may have, and its question."""
        sweep, grid = self._sweep, self._sweep.settings[index].grid
        if sweep.plan is None:
            assert self._image
            if grid not in self._fitted:
                self._fitted[grid] = fitted(self._loaded, self._image, grid)
            return self._fitted[grid], grid[0] * grid[1], sweep.prompt
        query = sweep.plan.query(index)
        picture = self._read(query.picture)
        if sweep.plan.fitted:
            return fitted(self._loaded, picture, grid), grid[0] * grid[1], query.question
        return picture, self._loaded.model.config.max_crops, query.question
