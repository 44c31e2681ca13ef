"""What every engine offers: to get a setting ready, and to run one inference at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from profcore.spec.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from profcore.models.inputs import ModelInputs
    from profcore.spec.settings import Setting


class StopRequestedError(Exception):
    """The run was asked to stop in the middle of an inference, which is then thrown away."""


class PreparationError(Exception):
    """A setting could not be compiled or captured; the text says why."""


class Engine(Protocol):
    """One way to execute a model."""

    name: str

    @property
    def experts(self) -> str:
        """Which implementation of the routed experts runs."""

    def prepare(self, inputs: ModelInputs, setting: Setting, tell: Callable[[str], None] | None = None) -> int | None:
        """Compile and capture whatever a setting needs, so that no inference at it does; again at no cost.

        Args:
            inputs: Picture and prompt on the model's device.
            setting: The knobs.
            tell: Told what is being done, before something that takes long.

        Returns:
            Bytes of device memory that an inference takes beyond what the allocator sees, where that is not nothing.

        Raises:
            PreparationError: Compilation or capture failed.
            UserError: The setting is not one of the model's.
        """

    def infer(
        self,
        inputs: ModelInputs,
        setting: Setting,
        clock: StageClock | None = None,
        stop: Callable[[], bool] | None = None,
        keep_logits: bool = False,
    ) -> tuple[Tensor, list[Tensor]]:
        """One inference: picture and prompt in, exactly `setting.output_tokens` greedy tokens out, EOS or not.

        One pass: vision encoder, projector, prefill (which yields the first token), then decode steps. Tokens stay
        on the device, so that nothing here waits for it.

        Args:
            inputs: Picture and prompt on the model's device.
            setting: The knobs, prepared.
            clock: Told of each boundary; None for a bare inference.
            stop: Asked before each decode step whether to give up.
            keep_logits: Whether to return the logits that each token was chosen from.

        Returns:
            Tokens (output_tokens,), and logits (embedding_size,) of each if asked for.

        Raises:
            StopRequestedError: `stop` said so.
        """

    def stage_works(self, inputs: ModelInputs, setting: Setting) -> dict[Stage, Callable[[], None]]:
        """Each stage as work that can be done again and again, once all were done in their order.

        A decode is all of its steps. Nothing waits for the device.

        Args:
            inputs: Picture and prompt on the model's device.
            setting: The knobs; prepared here if it is not yet.

        Raises:
            PreparationError: Compilation or capture failed.
            UserError: The setting is not one of the model's.
        """


@dataclass(frozen=True)
class Timing:
    """Latencies of one inference in milliseconds; `stages` without OTHER, which is what they leave of `total`.

    `issue` is how long the host took to issue each stage, in the stages' order, where the clock does not wait;
    `step_issue` the least that it took to issue a decode step.
    """

    stages: dict[Stage, float]
    steps: tuple[float, ...]
    total: float
    issue: tuple[float, ...] | None = None
    step_issue: float | None = None

    @property
    def other(self) -> float:
        """What the stages leave of the total: starting, reading the clocks, the last synchronisation."""
        return self.total - sum(self.stages.values())


class StageClock(Protocol):
    """What an engine tells of its boundaries, and what comes of it."""

    def reserve(self, output_tokens: int) -> None:
        """Inferences of so many tokens will follow: whatever takes time to have is to be had now."""

    def start(self) -> None:
        """The inference begins."""

    def mark(self, stage: Stage) -> None:
        """A stage has just been issued."""

    def step(self) -> None:
        """A decode step has just been issued."""

    def finish(self) -> None:
        """The inference has been issued to its end."""

    def read(self) -> Timing:
        """The latencies; to be called once, after `finish`."""
