"""What a run tells of itself: its environment, the device's ceilings, its samples."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from profcore.spec.stages import MODEL_STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Environment:
    """The machine, software and model that a run's samples were measured on.

    Attributes:
        weights: 'real' (from a checkpoint) or 'random'.
        parameters: Number of the model's parameters.
        commit: Commit of this project's checkout, where known.
        shape: The model's shape, the fields of `profcore.models.config.MolmoConfig`.
        host: The machine's name in its network.
        card: The GPU's UUID.
        cpu: The host's processor.
        cores: The cores that the measuring process was pinned to, in words, or why it was not.
        load: The host's load when the run began: processes that ran or waited to, the mean over a minute.
        experts_reason: Why the experts are others than transformers' `generate` would take, where they are.
        uncaptured: Why stages of the graph engine ran without a graph, by the stage, where some did: their figure is
            then bound by the host as eager's is. Known once settings were got ready; the record is then written anew.
        active_parameters: Those that one token uses at the model's own top-k, of models of families.
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
    host: str | None = None
    card: str | None = None
    experts_reason: str | None = None
    cpu: str | None = None
    cores: str | None = None
    load: float | None = None
    uncaptured: dict[str, str] | None = None
    active_parameters: int | None = None

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


TELEMETRY = (
    "sm_clock_mhz",
    "memory_clock_mhz",
    "temperature_c",
    "power_w",
    "throttle_reasons",
    "memory_used_bytes",
    "other_processes",
    "others_utilisation_percent",
    "host_probe_us",
)
"""What a sample's `telemetry` may hold; each is a column of its own in the database."""

STAGE_PEAKS = ("vision_encoder_peak_bytes", "projector_peak_bytes", "llm_prefill_peak_bytes", "llm_decode_peak_bytes")
"""The fields of a sample that hold the peak memory of each stage, in the stages' order."""


ENERGY_PARTS = ("vision_encoder", "projector", "llm_prefill", "llm_decode", "total")
"""What a setting's energy is known of: the stages and a whole inference."""

ENERGY_COLUMNS = {
    "method": "energy_method",
    "step_s": "energy_step_s",
    **{f"{part}_j": f"{part}_j" for part in ENERGY_PARTS},
    **{f"{part}_resolution_j": f"{part}_resolution_j" for part in ENERGY_PARTS},
}
"""The fields of a record of energy, and the columns of the table of settings that hold them."""


@dataclass(frozen=True)
class Energy:
    """What an inference at a setting takes, and each of its stages repeated by itself.

    Attributes:
        method: 'counter' (the card's own) or 'power' (its power, added up).
        step_s: The longest time from one change of what NVML shows to the next.
        joules: By `ENERGY_PARTS`; a part that a setting does not have is not there.
        resolution: How far each may be off by the meter's step, in joules, either way.
    """

    method: str
    step_s: float
    joules: dict[str, float]
    resolution: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, None for a part that is not known."""
        return {
            "method": self.method,
            "step_s": self.step_s,
            **{f"{part}_j": self.joules.get(part) for part in ENERGY_PARTS},
            **{f"{part}_resolution_j": self.resolution.get(part) for part in ENERGY_PARTS},
        }


@dataclass(frozen=True)
class StageWork:
    """What a stage of one inference computes and must move between memory and chip, as counted (see `measure.work`).

    Attributes:
        stage: Which.
        flops: 2 per multiply-add.
        bytes: Read and written.
    """

    stage: Stage
    flops: float
    bytes: float


WORK_COLUMNS = tuple(f"{stage.value}_{what}" for stage in MODEL_STAGES for what in ("flops", "bytes"))
"""The fields of a record of work, and the columns of the table of settings that hold them."""


@dataclass(frozen=True)
class Sample:
    """One timed inference at one setting; latencies in milliseconds.

    Attributes:
        sample_id: Its number in the run, in the order measured.
        setting: Index into the sweep's settings.
        round: Which visit to that setting this was.
        elapsed_s: Seconds from the run's first warm-up to this sample's start; of a run that was resumed, without
            those between.
        decode_steps_ms: One latency per decode step; empty where the clock does not take them.
        num_input_tokens: Length of the prompt with its image tokens.
        issue_ms: How long the host took to issue each stage (vision encoder, projector, prefill, decode), where the
            clock does not wait for the device; a stage that takes no longer than this is bound by launching.
        step_issue_ms: The least that the host took to issue a decode step, where the clock takes it: the device takes
            some launches in advance, and once it holds as many, the host only waits (`issue_ms` then says nothing).
        peak_memory_bytes: Largest device memory allocated in this inference, where known.
        telemetry: What the GPU and the host were like right after, where known (see `measure.telemetry`).
        host_preprocessing_ms: How long it took, right before the inference, from picture in memory and question to
            tensors on the device; no part of the total.
        picture_reading_ms: How long the file of its picture took before that to be read, decoded, turned and made RGB,
            where it was for this sample: of real pictures before each, of a sweep's one picture before its first alone;
            no part of the preprocessing, nor of the total. A picture without a file has none.
        vision_encoder_peak_bytes: Largest device memory allocated in each stage of this setting, where known (see
            `measure.stage_memory`); so the three that follow.
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
    host_preprocessing_ms: float | None = None
    picture_reading_ms: float | None = None
    step_issue_ms: float | None = None
    vision_encoder_peak_bytes: int | None = None
    projector_peak_bytes: int | None = None
    llm_prefill_peak_bytes: int | None = None
    llm_decode_peak_bytes: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        # dataclasses.asdict copies every step's float one by one; a sample is written between two inferences.
        issue = None if self.issue_ms is None else list(self.issue_ms)
        return {**self.__dict__, "decode_steps_ms": list(self.decode_steps_ms), "issue_ms": issue}


CALLED_BEFORE = {"host_preprocessing_ms": "processing_ms"}
"""Fields of a sample that spools of earlier versions call by another name."""


def of_sample(record: Mapping[str, Any], field: str) -> Any:
    """A field of a sample's record, whichever version wrote it."""
    value = record.get(field)
    return record.get(CALLED_BEFORE[field]) if value is None and field in CALLED_BEFORE else value


def now() -> str:
    """The time as spools write it: ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
