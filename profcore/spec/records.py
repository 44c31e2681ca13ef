"""What a run tells of itself: its environment, the device's ceilings, its samples."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Environment:
    """The machine, software and model that a run's samples were measured on.

    Attributes:
        weights: 'real' (from a checkpoint) or 'random'.
        parameters: Number of the model's parameters.
        commit: Commit of this project's checkout, where known.
        shape: The model's shape, the fields of `profcore.models.config.MolmoConfig`.
    """

    device: str
    device_name: str
    driver: str | None
    cuda: str | None
    python: str
    torch: str
    transformers: str
    profcore: str
    commit: str | None
    platform: str
    model: str
    weights: str
    parameters: int
    dtype: str
    engine: str
    experts: str
    attention: str
    clock: str
    shape: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Ceilings:
    """What a device was measured to do at most; what a stage's physical floor is computed from.

    Attributes:
        device_name: The device's name.
        dtype: The type that the matrix products had.
        read_gb_s: Bandwidth of reading memory, in 10⁹ bytes per second.
        copy_gb_s: Bandwidth of copying, bytes read and bytes written counted.
        matmul_tflop_s: Dense matrix products, in 10¹² operations per second, 2 per multiply-add.
        torch: torch's version.
        measured_at: When, in UTC.
    """

    device_name: str
    dtype: str
    read_gb_s: float
    copy_gb_s: float
    matmul_tflop_s: float
    torch: str
    measured_at: str

    @property
    def memory_gb_s(self) -> float:
        """The highest bandwidth that any of the memory measurements reached."""
        return max(self.read_gb_s, self.copy_gb_s)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)


TELEMETRY = ("sm_clock_mhz", "temperature_c", "power_w", "throttle_reasons")
"""What a sample's `telemetry` may hold; each is a column of its own in the database."""


@dataclass(frozen=True)
class Sample:
    """One timed inference at one setting; latencies in milliseconds.

    Attributes:
        sample_id: Its number in the run, in the order measured.
        setting: Index into the sweep's settings.
        round: Which visit to that setting this was.
        elapsed_s: Seconds from the run's first warm-up to this sample's start.
        decode_steps_ms: One latency per decode step; empty where the clock does not take them.
        num_input_tokens: Length of the prompt with its image tokens.
        issue_ms: How long the host took to issue each stage (vision encoder, projector, prefill, decode), where the
            clock does not wait for the device; a stage that takes no longer than this is bound by launching.
        step_issue_ms: The least that the host took to issue a decode step, where the clock takes it: the device takes
            some launches in advance, and once it holds as many, the host only waits (`issue_ms` then says nothing).
        peak_memory_bytes: Largest device memory allocated in this inference, where known.
        telemetry: What the GPU reported right after, where known (see `measure.telemetry`).
        processing_ms: How long the host took, before the inference, to make crops and tokens of picture and question.
    """

    sample_id: int
    setting: int
    round: int
    elapsed_s: float
    vision_encoder_ms: float
    projector_ms: float
    llm_prefill_ms: float
    llm_decode_ms: float
    other_ms: float
    total_ms: float
    decode_steps_ms: tuple[float, ...]
    num_crops: int
    num_vision_tokens: int
    num_input_tokens: int
    num_output_tokens: int
    peak_memory_bytes: int | None = None
    telemetry: dict[str, float] | None = None
    issue_ms: tuple[float, ...] | None = None
    processing_ms: float | None = None
    step_issue_ms: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        # dataclasses.asdict copies every step's float one by one; a sample is written between two inferences.
        issue = None if self.issue_ms is None else list(self.issue_ms)
        return {**self.__dict__, "decode_steps_ms": list(self.decode_steps_ms), "issue_ms": issue}


def now() -> str:
    """The time as spools write it: ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
