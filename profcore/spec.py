"""The project's words as frozen dataclasses; standard library only.

A page or command builds a `RunSpec`; a worker turns it into `Sample`s on one `Environment`. Every class here
goes to and from plain JSON values with `to_dict` and `from_dict`, since that is how a spool holds it.
"""

from __future__ import annotations

import dataclasses
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from profcore.errors import UserError
from profcore.queries import DEFAULT_PROMPT, Picture, QuerySet

MAX_CROPS = 12
"""Largest number of crops in an image grid (allenai/molmo, `max_crops` of MolmoE-1B-0924)."""


class Stage(StrEnum):
    """One part of an inference; the stages of a sample add up to its total."""

    VISION_ENCODER = "vision_encoder"
    PROJECTOR = "projector"
    LLM_PREFILL = "llm_prefill"
    LLM_DECODE = "llm_decode"
    OTHER = "other"

    @property
    def label(self) -> str:
        """The stage's name as charts and tables write it."""
        return _STAGE_LABELS[self]

    @property
    def column(self) -> str:
        """The column or field that holds this stage's latency in milliseconds."""
        return f"{self.value}_ms"


_STAGE_LABELS = {
    Stage.VISION_ENCODER: "Vision encoder",
    Stage.PROJECTOR: "Projector",
    Stage.LLM_PREFILL: "LLM prefill",
    Stage.LLM_DECODE: "LLM decode",
    Stage.OTHER: "Other",
}


class Knob(StrEnum):
    """A dial of the model that a sweep turns."""

    VISION_TOKENS = "vision_tokens"
    TOP_K = "top_k"
    ACTIVE_BLOCKS = "active_blocks"
    OUTPUT_TOKENS = "output_tokens"


class State(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether the run will produce no further sample."""
        return self in (State.DONE, State.STOPPED, State.FAILED)


class Clock(StrEnum):
    """How stage latencies are taken."""

    EVENTS = "events"
    PUBLISHED = "published"


@dataclass(frozen=True)
class Setting:
    """One value for every knob.

    Attributes:
        grid: Image grid as (rows, columns) of crops; the global view comes on top.
        top_k: Experts each token is routed to.
        block_mask: One flag per transformer block, True where the block runs.
        output_tokens: Tokens generated, the first of which comes from prefill.
    """

    grid: tuple[int, int]
    top_k: int
    block_mask: tuple[bool, ...]
    output_tokens: int

    def __post_init__(self) -> None:
        rows, columns = self.grid
        if rows < 1 or columns < 1 or rows * columns > MAX_CROPS:
            raise UserError(
                f"Image grid {rows}×{columns} is out of range: it needs 1 to {MAX_CROPS} crops, 1×1 to 1×12."
            )
        if self.top_k < 1:
            raise UserError(f"Top-k {self.top_k} is out of range: each token needs at least 1 expert.")
        if not any(self.block_mask):
            raise UserError("The block mask has no active block: at least one must run.")
        if self.output_tokens < 1:
            raise UserError(f"{self.output_tokens} output tokens cannot be generated: ask for at least 1.")

    @property
    def active_blocks(self) -> int:
        """Number of transformer blocks that run."""
        return sum(self.block_mask)

    @property
    def grid_label(self) -> str:
        """The grid as published files write it, such as '1×4'."""
        return f"{self.grid[0]}×{self.grid[1]}"

    @property
    def mask_label(self) -> str:
        """The block mask as a string of ones and zeros, first block first."""
        return "".join("1" if active else "0" for active in self.block_mask)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "grid": list(self.grid),
            "top_k": self.top_k,
            "block_mask": self.mask_label,
            "output_tokens": self.output_tokens,
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Setting:
        """The reverse of `to_dict`."""
        return cls(
            grid=(int(value["grid"][0]), int(value["grid"][1])),
            top_k=int(value["top_k"]),
            block_mask=parse_mask(value["block_mask"]),
            output_tokens=int(value["output_tokens"]),
        )


def parse_mask(text: str) -> tuple[bool, ...]:
    """A block mask from a string of ones and zeros, first block first.

    Raises:
        UserError: The text holds anything else, or nothing.
    """
    if not text or set(text) - {"0", "1"}:
        raise UserError(f"Block mask {text!r} is not a string of 0s and 1s, one for each block.")
    return tuple(character == "1" for character in text)


def first_blocks(active: int, total: int) -> tuple[bool, ...]:
    """The mask that runs the first `active` of `total` blocks.

    Raises:
        UserError: `active` is not between 1 and `total`.
    """
    if not 1 <= active <= total:
        raise UserError(f"{active} active blocks is out of range: the model has {total}, so give 1 to {total}.")
    return tuple(index < active for index in range(total))


@dataclass(frozen=True)
class Sweep:
    """The settings an experiment visits and how often.

    Attributes:
        experiment: A name of `profcore.experiments.CATALOGUE` or `profcore.motivation.MOTIVATION`.
        settings: What is measured, in the order charts show it.
        num_samples: Timed inferences per setting.
        warmup: Untimed inferences per setting, at its own shape and full output length.
        seed: Seed of the visiting order, which is drawn anew each round.
        clock: How latencies are taken.
        picture: What the model sees, unless there are queries.
        prompt: The question put to the model, unless there are queries.
        queries: The pictures and questions of a Motivation experiment.
        query_of: For each setting, which of the queries it measures.
        fitted: Whether a query's picture is cropped to its setting's grid; else it is tiled by the model's own rule.
        quality: Questions on which each setting's quality is recorded beside its latency; None for not at all.
        stop_at_eos: Whether an answer ends with the end-of-text token; `output_tokens` is then the most it may have.
    """

    experiment: str
    settings: tuple[Setting, ...]
    num_samples: int = 50
    warmup: int = 2
    seed: int = 0
    clock: Clock = Clock.EVENTS
    picture: Picture = field(default_factory=Picture)
    prompt: str = DEFAULT_PROMPT
    queries: QuerySet | None = None
    query_of: tuple[int, ...] = ()
    fitted: bool = False
    stop_at_eos: bool = False
    quality: QuerySet | None = None

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise UserError(f"{self.num_samples} samples per setting measure nothing: ask for at least 1.")
        if self.warmup < 0:
            raise UserError(f"{self.warmup} warm-up inferences is not possible: give 0 or more.")
        if not self.settings:
            raise UserError("The sweep has no setting: choose at least one value of the knob.")
        queries = len(self.queries.queries) if self.queries else 0
        if queries and (len(self.query_of) != len(self.settings) or not set(self.query_of).issubset(range(queries))):
            raise ValueError("query_of names a query for each setting")

    @property
    def num_inferences(self) -> int:
        """Timed inferences in the whole sweep."""
        return len(self.settings) * self.num_samples

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain: dict[str, Any] = {
            "experiment": self.experiment,
            "settings": [setting.to_dict() for setting in self.settings],
            "num_samples": self.num_samples,
            "warmup": self.warmup,
            "seed": self.seed,
            "clock": str(self.clock),
            "picture": self.picture.to_dict(),
            "prompt": self.prompt,
        }
        if self.queries:
            plain |= {"queries": self.queries.to_dict(), "query_of": list(self.query_of), "fitted": self.fitted}
        if self.stop_at_eos:
            plain["stop_at_eos"] = True
        if self.quality:
            plain["quality"] = self.quality.to_dict()
        return plain

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Sweep:
        """The reverse of `to_dict`."""
        return cls(
            experiment=value["experiment"],
            settings=tuple(Setting.from_dict(item) for item in value["settings"]),
            num_samples=int(value["num_samples"]),
            warmup=int(value["warmup"]),
            seed=int(value["seed"]),
            clock=Clock(value["clock"]),
            picture=Picture(**value["picture"]),
            prompt=value["prompt"],
            queries=QuerySet.from_dict(value["queries"]) if value.get("queries") else None,
            query_of=tuple(value.get("query_of", ())),
            fitted=bool(value.get("fitted", False)),
            stop_at_eos=bool(value.get("stop_at_eos", False)),
            quality=QuerySet.from_dict(value["quality"]) if value.get("quality") else None,
        )


@dataclass(frozen=True)
class Target:
    """What a run measures on: the model and how it is executed.

    Attributes:
        model: 'tiny', 'molmoe-1b', a checkpoint directory or a hub name.
        device: 'cpu' or 'cuda:N'.
        dtype: 'float32', 'bfloat16' or 'float16'; 'auto' is bfloat16 on a GPU and float32 on a CPU.
        engine: How the model is executed: a name of `profcore.engines.names.ENGINES`.
        experts: transformers' experts implementation; 'auto' is what suits the device, dtype and engine.
    """

    model: str = "tiny"
    device: str = "cpu"
    dtype: str = "auto"
    engine: str = "eager"
    experts: str = "auto"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class RunSpec:
    """A run as it was asked for; its id names its spool."""

    id: str
    created_at: str
    target: Target
    sweep: Sweep

    def __post_init__(self) -> None:
        # The id of a spool from elsewhere becomes a file name here.
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,80}", self.id):
            raise ValueError(f"{self.id!r} is no run id")

    @classmethod
    def new(cls, target: Target, sweep: Sweep) -> RunSpec:
        """A run with a fresh id, created now."""
        now = datetime.now(UTC)
        return cls(
            f"{now:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:8]}",
            now.isoformat(timespec="milliseconds"),
            target,
            sweep,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "id": self.id,
            "created_at": self.created_at,
            "target": self.target.to_dict(),
            "sweep": self.sweep.to_dict(),
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> RunSpec:
        """The reverse of `to_dict`."""
        return cls(value["id"], value["created_at"], Target(**value["target"]), Sweep.from_dict(value["sweep"]))


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

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        # dataclasses.asdict copies every step's float one by one; a sample is written between two inferences.
        issue = None if self.issue_ms is None else list(self.issue_ms)
        return {**self.__dict__, "decode_steps_ms": list(self.decode_steps_ms), "issue_ms": issue}
