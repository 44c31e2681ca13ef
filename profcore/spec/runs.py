"""What is asked for: sweeps of settings, targets to measure on, runs."""

from __future__ import annotations

import dataclasses
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from profcore.errors import UserError
from profcore.spec.queries import DEFAULT_PROMPT, Picture, QueryPlan, QuerySet
from profcore.spec.settings import Setting
from profcore.spec.stages import Clock
from profcore.spec.until import Until

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Sweep:
    """The settings an experiment visits and how often.

    Attributes:
        experiment: A name of `profcore.experiments.CATALOGUE` or `profcore.motivation.MOTIVATION`.
        settings: What is measured, in the order charts show it.
        num_samples: Timed inferences per setting; with `until` the most.
        warmup: Untimed inferences per setting, at its own shape and full output length.
        seed: Seed of the visiting order, which is drawn anew each round.
        clock: How latencies are taken.
        picture: What the model sees, unless there is a plan of queries.
        prompt: The question put to the model, unless there is a plan of queries.
        plan: The pictures and questions of a Motivation experiment, and which of them each setting measures.
        energy: Whether joules are measured after the samples, in a pass of their own.
        quality: Questions on which each setting's quality is recorded beside its latency; None for not at all.
        stop_at_eos: Whether an answer ends with the end-of-text token; `output_tokens` is then the most it may have.
        until: How precise each setting's median is to be; None for as many samples of each as `num_samples` says.
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
    energy: bool = False
    until: Until | None = None

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise UserError(f"{self.num_samples} samples per setting measure nothing: ask for at least 1.")
        if self.warmup < 0:
            raise UserError(f"{self.warmup} warm-up inferences is not possible: give 0 or more.")
        if not self.settings:
            raise UserError("The sweep has no setting: choose at least one value of the knob.")
        if self.plan and len(self.plan.of_setting) != len(self.settings):
            raise ValueError("the plan names a query for each setting")
        if self.until:
            self.until.check_most(self.num_samples)

    @property
    def pictures(self) -> Iterator[Picture]:
        """Every picture that measuring opens: its own, those of a plan's queries, those quality is recorded on."""
        yield self.picture
        for queries in (self.plan.queries if self.plan else None, self.quality):
            yield from (query.picture for query in (queries.queries if queries else ()))

    @property
    def num_inferences(self) -> int:
        """Timed inferences in the whole sweep; with `until` the most."""
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
        if self.energy:
            plain["energy"] = True
        if self.quality:
            plain["quality"] = self.quality.to_dict()
        if self.until:
            plain["until"] = self.until.to_dict()
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
            energy=bool(value.get("energy", False)),
            quality=QuerySet.from_dict(value["quality"]) if value.get("quality") else None,
            until=Until.from_dict(value["until"]) if value.get("until") else None,
        )


@dataclass(frozen=True)
class Target:
    """What a run measures on: the model and how it is executed.

    Attributes:
        model: 'tiny', 'molmoe-1b', another named shape, a checkpoint directory, a configuration file or a hub name.
        device: 'cpu' or 'cuda:N'.
        dtype: 'float32', 'bfloat16' or 'float16'; 'auto' is bfloat16 on a GPU and float32 on a CPU.
        engine: How the model is executed: a name of `profcore.engines.names.ENGINES`.
        experts: transformers' experts implementation of both stages; 'auto' is what its `generate` takes for each.
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
class Shard:
    """A part of a run that is measured by itself (see `profcore.spec.shards`).

    Attributes:
        campaign: The id of the whole run.
        index: Its number, from 1.
        count: How many shards there are.
        own: The settings, by their place in the whole sweep, that are this shard's.
        anchors: Those that every shard samples, whosever they are.
    """

    campaign: str
    index: int
    count: int
    own: tuple[int, ...]
    anchors: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        # A spool from elsewhere may hold anything.
        numbers = (self.index, self.count, *self.own, *self.anchors)
        if not all(type(number) is int for number in numbers) or not 1 <= self.index <= self.count <= 1000:
            raise ValueError("its shard has no number")
        if not is_run_id(self.campaign) or not self.own or self.visited[0] < 0:
            raise ValueError("its shard is of no run")

    @property
    def visited(self) -> tuple[int, ...]:
        """The settings that this shard samples."""
        return tuple(sorted({*self.own, *self.anchors}))

    @property
    def words(self) -> str:
        """Which shard it is."""
        return f"shard {self.index} of {self.count}"

    def whole_number(self, number: int) -> int:
        """A number in the whole run for a sample, or an environment, of this shard; no other shard's has the same."""
        return number * self.count + self.index - 1

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**self.__dict__, "own": list(self.own), "anchors": list(self.anchors)}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Shard:
        """The reverse of `to_dict`."""
        own, anchors = tuple(value["own"]), tuple(value.get("anchors") or ())
        return cls(value["campaign"], value["index"], value["count"], own, anchors)


@dataclass(frozen=True)
class RunSpec:
    """A run as it was asked for; its id names its spool.

    Attributes:
        series: What the runs of one sweep have alike that measure it in processes of their own; None for a run alone.
        shard: Which part of a run it is; None for a whole one.
    """

    id: str
    created_at: str
    target: Target
    sweep: Sweep
    series: str | None = None
    shard: Shard | None = None

    def __post_init__(self) -> None:
        if self.shard and self.shard.visited[-1] >= len(self.sweep.settings):
            raise ValueError("its shard has settings that its sweep has not")
        if self.series is not None and not is_run_id(self.series):
            raise ValueError(f"{self.series!r} is no series")
        # The id of a spool from elsewhere becomes a file name here.
        if not is_run_id(self.id):
            raise ValueError(f"{self.id!r} is no run id")

    @classmethod
    def new(cls, target: Target, sweep: Sweep, series: str | None = None) -> RunSpec:
        """A run with a fresh id, created now."""
        return cls(fresh_id(), datetime.now(UTC).isoformat(timespec="milliseconds"), target, sweep, series)

    @property
    def num_inferences(self) -> int:
        """Timed inferences that it takes; with `until` the most."""
        return len(self.shard.visited) * self.sweep.num_samples if self.shard else self.sweep.num_inferences

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "id": self.id,
            "created_at": self.created_at,
            "target": self.target.to_dict(),
            "sweep": self.sweep.to_dict(),
            **({"series": self.series} if self.series else {}),
            **({"shard": self.shard.to_dict()} if self.shard else {}),
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> RunSpec:
        """The reverse of `to_dict`."""
        sweep = Sweep.from_dict(value["sweep"])
        shard = Shard.from_dict(value["shard"]) if value.get("shard") else None
        return cls(value["id"], value["created_at"], Target(**value["target"]), sweep, value.get("series"), shard)


def fresh_id() -> str:
    """An id that no run or series has, which says when it was made."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:8]}"


def is_run_id(text: str) -> bool:
    """Whether a text may be the id of a run, or of a series."""
    return bool(re.fullmatch(r"[A-Za-z0-9_-]{1,80}", text))


QUERY_COLUMNS = ("image_id", "query_id", "image_width", "image_height")
"""What a setting on real pictures says of its query, besides the knobs."""

TIER_COLUMNS = ("tier", "least_crops", "most_crops")
"""What a setting says of the range of crops from which its picture took its tiling."""


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
            if tier := sweep.plan.tier(index):
                row |= dict(zip(TIER_COLUMNS, (tier.name, tier.least, tier.most), strict=True))
        rows.append(row)
    return rows
