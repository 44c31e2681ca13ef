"""What is asked for: sweeps of settings, targets to measure on, runs."""

from __future__ import annotations

import dataclasses
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from profcore.errors import UserError
from profcore.spec.queries import DEFAULT_PROMPT, Picture, QueryPlan, QuerySet
from profcore.spec.settings import Setting
from profcore.spec.stages import Clock


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
        picture: What the model sees, unless there is a plan of queries.
        prompt: The question put to the model, unless there is a plan of queries.
        plan: The pictures and questions of a Motivation experiment, and which of them each setting measures.
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
    plan: QueryPlan | None = None
    stop_at_eos: bool = False
    quality: QuerySet | None = None

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise UserError(f"{self.num_samples} samples per setting measure nothing: ask for at least 1.")
        if self.warmup < 0:
            raise UserError(f"{self.warmup} warm-up inferences is not possible: give 0 or more.")
        if not self.settings:
            raise UserError("The sweep has no setting: choose at least one value of the knob.")
        if self.plan and len(self.plan.of_setting) != len(self.settings):
            raise ValueError("the plan names a query for each setting")

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
        if self.plan:
            plain |= self.plan.to_dict()
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
            plan=QueryPlan.from_dict(value) if value.get("queries") else None,
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


QUERY_COLUMNS = ("image_id", "query_id", "image_width", "image_height")
"""What a setting on real pictures says of its query, besides the knobs."""


def sweep_settings(sweep: Sweep) -> list[dict[str, Any]]:
    """A sweep's settings as the database keeps them, each with the query it measures."""
    rows = []
    for index, setting in enumerate(sweep.settings):
        row: dict[str, Any] = {
            "grid_rows": setting.grid[0],
            "grid_columns": setting.grid[1],
            "top_k": setting.top_k,
            "active_blocks": setting.active_blocks,
            "block_mask": setting.mask_label,
            "output_tokens": setting.output_tokens,
        }
        if sweep.plan:
            query = sweep.plan.query(index)
            values = (query.image_id, query.query_id, query.width, query.height)
            row |= dict(zip(QUERY_COLUMNS, values, strict=True))
        rows.append(row)
    return rows
