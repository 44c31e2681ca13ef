"""Joules of each setting: of an inference, and of each stage repeated by itself. A pass of its own after all samples.

A card's counter moves in steps that are longer than a stage, so that a stage is repeated until its joules are many
steps and the step's share is small; what is left of it is the figure's resolution. All of the card's power is counted,
that of waiting included.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from profcore.engines.base import PreparationError, StopRequestedError
from profcore.errors import UserError
from profcore.measure.meters import Meter, Step, find_meter
from profcore.spec.records import Energy
from profcore.spec.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from profcore.engines.base import Engine
    from profcore.measure.card import Card
    from profcore.models.inputs import ModelInputs
    from profcore.spec.settings import Setting

ENOUGH = 0.01
"""The share of a figure at which its resolution is good enough to stop repeating."""

LONGEST_S = 4.0
"""Seconds for which a stage is repeated at most, unless one repetition takes longer."""

# Work between two looks at the meter, which the card waits for: the longer, the less of the waiting is in a figure.
_BETWEEN_LOOKS_S = 0.2


@dataclass(frozen=True)
class SettingEnergy:
    """What a setting's inference and its stages take."""

    setting: int
    energy: Energy


@dataclass(frozen=True)
class EnergyFailed:
    """A setting whose energy could not be found, and why; its samples stand."""

    setting: int
    reason: str


@dataclass(frozen=True)
class Joules:
    """What one repetition of a piece of work takes, and how far the meter's step lets that be told (± both ways)."""

    value: float
    resolution: float


class EnergyPass:
    """Measures settings one after another; a stage that several share is measured once."""

    def __init__(
        self,
        engine: Engine,
        card: Card,
        stop: Callable[[], bool],
        synchronise: Callable[[], None] = torch.cuda.synchronize,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Without having measured.

        Args:
            engine: What executes the model.
            card: Where it does.
            stop: Whether to give up.
            synchronise: Waits for the card.
            now: A clock in seconds.
        """
        self._engine, self._card, self._stop = engine, card, stop
        self._synchronise, self._now = synchronise, now
        self._meter: tuple[Meter, Step] | None = None
        self._known: dict[Hashable, Joules] = {}

    def of(self, inputs: ModelInputs, setting: Setting, key: Hashable) -> Energy:
        """A setting's joules.

        Args:
            inputs: Picture and prompt.
            setting: The knobs.
            key: What the inputs depend on, which settings with the same inputs share.

        Raises:
            UserError: The card says nothing of what it uses, or the setting cannot be run.
            PreparationError: It cannot be compiled or captured.
            StopRequestedError: `stop` said so.
        """
        works = self._engine.stage_works(inputs, setting)
        for work in works.values():
            work()
        self._synchronise()
        if self._meter is None:
            self._meter = find_meter(self._card, works[Stage.PROJECTOR], self._now)
            self._synchronise()
        meter, step = self._meter
        knobs = (key, setting.top_k, setting.block_mask)
        keys: dict[Stage, Hashable] = {
            Stage.VISION_ENCODER: (Stage.VISION_ENCODER, key),
            Stage.PROJECTOR: (Stage.PROJECTOR, key),
            Stage.LLM_PREFILL: (Stage.LLM_PREFILL, *knobs),
            Stage.LLM_DECODE: (Stage.LLM_DECODE, *knobs, setting.output_tokens),
        }
        for stage, work in works.items():
            if keys[stage] not in self._known:
                self._known[keys[stage]] = self._joules(meter, step, work)
        found = {str(stage): self._known[keys[stage]] for stage in works}
        whole = self._joules(meter, step, lambda: self._engine.infer(inputs, setting, None, self._stop))
        joules = {**found, "total": whole}
        return Energy(
            meter.method,
            step.seconds,
            {part: each.value for part, each in joules.items()},
            {part: each.resolution for part, each in joules.items()},
        )

    def _joules(self, meter: Meter, step: Step, work: Callable[[], object]) -> Joules:
        """What a piece of work takes, repeated until the meter's step is a small share of it."""
        self._synchronise()
        begin = self._now()
        work()
        self._synchronise()
        batch = max(round(_BETWEEN_LOOKS_S / max(self._now() - begin, 1e-6)), 1)
        # What the meter shows lags behind by up to a step: it is to lag behind by the same work at both ends.
        lead = self._now()
        while self._now() - lead < max(step.seconds, meter.settles_s):
            self._repeat(work, batch)
            meter.read_j()
        begin, before, done = self._now(), meter.read_j(), 0
        while True:
            self._repeat(work, batch)
            done += batch
            used, passed = meter.read_j() - before, self._now() - begin
            coarse = max(step.joules, step.seconds * used / passed) if passed > 0 else step.joules
            if (used > 0 and coarse <= ENOUGH * used) or passed >= LONGEST_S:
                return Joules(used / done, coarse / done)

    def _repeat(self, work: Callable[[], object], batch: int) -> None:
        if self._stop():
            raise StopRequestedError
        for _ in range(batch):
            work()
        self._synchronise()


def energy_refusal(device: torch.device, card: Card | None) -> str:
    """Why energy cannot be measured on a device, in a sentence; empty where it can."""
    if device.type != "cuda":
        return f"Energy is measured on NVIDIA GPUs alone: {device} has no counter of it and says no power."
    if card is None:
        return f"Energy needs NVML, which says nothing of {device} here."
    if card.is_part:
        return f"NVML counts the energy of a whole card, and {device} is a part of one (MIG)."
    if card.energy_j() is None and card.power_w() is None:
        return f"NVML shows neither the energy nor the power of {device}."
    return ""


def energy_reason(error: Exception) -> str:
    """Why a setting's energy could not be found, in a sentence."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, PreparationError):
        return f"It could not be compiled and captured ({error})."
    if isinstance(error, torch.cuda.OutOfMemoryError):
        torch.cuda.empty_cache()
        return "Out of GPU memory."
    first = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {first}"
