"""Spools of shards with made-up samples, as cards and machines would write them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from profcore.spec.records import Environment, Sample
from profcore.spec.runs import Target
from profcore.spec.shards import shard_spec, split
from profcore.spec.stages import State
from profcore.storage.spool import SpoolWriter, spool_path
from tests.support import CEILINGS, small_sweep

if TYPE_CHECKING:
    from pathlib import Path

    from profcore.spec.runs import Shard, Sweep

HERE = Environment(
    *("cuda:0", "NVIDIA H100", "580.1", "13.0", "3.12", "2.11", "5.13", "0.2", None, "Linux", "molmoe-1b", "random", 7),
    *("bfloat16", "compiled", "profcore", "sdpa", "events"),
    host="node-1",
    card="GPU-1",
    cpu="Xeon",
)
TARGET = Target("molmoe-1b", "cuda:0", engine="compiled")
STAGES = {"vision_encoder_ms": 5.0, "projector_ms": 0.5, "llm_prefill_ms": 7.0, "llm_decode_ms": 20.0}


def sweep_of(values=(1, 2, 4, 8, 16, 32), num_samples: int = 10, **changes) -> Sweep:
    """A sweep of top-k."""
    return small_sweep("moe_topk", values, num_samples, **changes)


def shards_of(sweep: Sweep, count: int = 2, campaign: str = "friday", anchors: int | None = None) -> list[Shard]:
    """Its shards."""
    return split(TARGET, sweep, count, campaign, anchors)


def write_shard(
    folder: Path,
    sweep: Sweep,
    shard: Shard,
    *,
    slower: float = 1.0,
    end: State | None = State.DONE,
    rounds: int | None = None,
    seed: int = 0,
    target: Target = TARGET,
    clock: tuple[float, float] | None = None,
    **environment,
) -> Path:
    """Write a shard's spool, measured on a card of its own unless told otherwise; how much slower that is than others.

    A setting's stages grow with its place, and noise is 0.2 %. `clock` is the card's clock in MHz, and its temperature.
    """
    spec = shard_spec(target, sweep, shard)
    path = spool_path(folder, spec.id)
    noise = np.random.default_rng(seed + shard.index)
    where = {"host": f"node-{shard.index}", "card": f"GPU-{shard.index}", **environment}
    with SpoolWriter(path) as writer:
        writer.run(spec)
        writer.state(State.RUNNING)
        writer.environment(replace(HERE, **where))
        writer.ceilings(CEILINGS)
        writer.phase("Measuring")
        number = 0
        for visit in range(sweep.num_samples if rounds is None else rounds):
            for setting in shard.visited:
                sample = made_sample(number, setting, visit, slower, noise)
                if clock:
                    sample = replace(sample, telemetry={"sm_clock_mhz": clock[0], "temperature_c": clock[1]})
                writer.sample(sample)
                number += 1
        for setting in shard.own:
            writer.routing(setting, (setting, 7))
        if end:
            writer.state(end, None if end is State.DONE else "Stopped on request.")
    return path


def made_sample(number: int, setting: int, visit: int, slower: float, noise: np.random.Generator) -> Sample:
    """A sample of a setting."""
    stages = {
        name: round(value * (1 + setting / 10) * slower * float(np.exp(noise.normal(0, 0.002))), 6)
        for name, value in STAGES.items()
    }
    return Sample(
        sample_id=number,
        setting=setting,
        round=visit,
        elapsed_s=number / 30,
        **stages,
        other_ms=0.1,
        total_ms=round(sum(stages.values()) + 0.1, 6),
        decode_steps_ms=(10.0, 10.0),
        num_crops=2,
        num_vision_tokens=288,
        num_input_tokens=300,
        num_output_tokens=3,
    )
