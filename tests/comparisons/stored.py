"""Runs whose latencies are known, stored as measured, shipped and imported ones are."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from profcore.experiments.motivation import MOTIVATION, plan
from profcore.formats.imports import read_import, write_import
from profcore.images.processing import PLAIN_IDS, image_tokens
from profcore.models.config import PRESETS
from profcore.spec.queries import Picture, Query, QuerySet
from profcore.spec.records import Energy, Sample
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage import spool

TOKENS = {1: 288, 2: 384, 3: 480, 4: 576, 6: 768}
"""Vision tokens by the number of crops of a 1×N grid."""

MACHINE = {
    "device": "cuda:0",
    "device_name": "a card",
    "driver": "580",
    "cuda": "13.0",
    "python": "3.11",
    "torch": "2.11",
    "transformers": "5.17",
    "profcore": "0.1.0",
    "commit": None,
    "platform": "Linux",
    "model": "tiny",
    "weights": "random",
    "parameters": 1,
    "dtype": "float32",
    "engine": "eager",
    "experts": "eager",
    "attention": "sdpa",
    "clock": "events",
}
_STARTED = datetime(2026, 1, 1, tzinfo=UTC)


def store_run(
    store,
    sweep,
    cost,
    *,
    state=State.DONE,
    only=None,
    hour=0,
    source="measured",
    joules=None,
    quality=None,
    held_back=(),
    series=None,
    **machine,
):
    """Store a run whose prefill takes what `cost` says of each setting; returns its id.

    Args:
        store: Where.
        sweep: What was asked.
        cost: From a setting to milliseconds of prefill; other stages are constant, a decode step takes a tenth. Or to
            milliseconds of vision encoder, projector, prefill and a decode step.
        state: How it ended.
        only: How many samples it gave in all; every one unless given.
        hour: When it was asked for.
        source: As `Store.take_in`.
        joules: From a setting to joules of its decode, where energy is stored: the whole takes ten more, and what the
            meter's step leaves open is a tenth of a joule.
        quality: From a setting to the score of each question, where quality is stored.
        held_back: The numbers of samples that were taken under a power cap.
        series: To which series of repeated runs it belongs.
        machine: What differs from `MACHINE`.
    """
    machine = MACHINE | machine
    created = (_STARTED + timedelta(hours=hour)).isoformat(timespec="milliseconds")
    spec = replace(RunSpec.new(Target(engine=machine["engine"]), sweep, series), created_at=created)
    path = spool.spool_path(store.spools, spec.id)
    with spool.SpoolWriter(path) as writer:
        writer.run(spec)
        writer.write({"type": "environment", **machine})
        number = 0
        for round_ in range(sweep.num_samples):
            for index, setting in enumerate(sweep.settings):
                if only is None or number < only:
                    sample = made_sample(number, index, round_, setting, cost(setting))
                    if number in held_back:
                        sample = replace(sample, telemetry={"throttle_reasons": 4, "sm_clock_mhz": 1200})
                    writer.sample(sample)
                number += 1
        for index, setting in enumerate(sweep.settings if quality else ()):
            scores = tuple(quality(setting))
            writer.quality(index, 1 - sum(scores) / len(scores), sum(scores) / len(scores), len(scores), scores)
        for index, setting in enumerate(sweep.settings if joules else ()):
            writer.energy(index, _energy(joules(setting)))
        writer.state(state)
    store.take_in(path, source)
    return spec.id


def _energy(decode):
    stages = {"vision_encoder": 4.0, "projector": 1.0, "llm_prefill": 5.0, "llm_decode": decode}
    found = {**stages, "total": decode + 10}
    return Energy("counter", 0.1, found, dict.fromkeys(found, 0.1))


def made_sample(number, index, round_, setting, cost):
    steps, crops = setting.output_tokens - 1, setting.grid[0] * setting.grid[1]
    tokens = TOKENS.get(crops) or image_tokens(*setting.grid, PLAIN_IDS).num_vision_tokens
    vision, projector, prefill, step = cost if isinstance(cost, tuple) else (2.0 * (crops + 1), 1.0, cost, cost / 10)
    varied = 1 + 0.001 * (round_ % 3 - 1)
    stages = (vision, projector, prefill * varied, steps * step * varied, 0.0)
    each = (step * varied,) * steps
    return Sample(
        number, index, round_, float(number), *stages, sum(stages), each, crops + 1, tokens, tokens + 60, steps + 1
    )


def pictures_sweep(name="vision_tokens_vs_latency", number=6, num_samples=1, top_k=8, data_set="folder", **options):
    """A Motivation sweep of the tiny model on made-up queries; 1×1 to 1×4 where its pictures are fitted."""
    queries = tuple(
        Query(Picture("file", f"/{data_set}/{each}.jpg"), f"What is in {each}?", f"{each}", f"q{each}", 336, 336)
        for each in range(number)
    )
    config = replace(PRESETS["tiny"], top_k=top_k)
    if name == "vision_tokens_vs_latency":
        options = {"max_grid": 4, **options}
    return plan(MOTIVATION[name], QuerySet(data_set, queries), config, num_samples=num_samples, **options)


def import_file(store, document, name="published.json"):
    """Import a result file; returns its run's id."""
    found = read_import(json.dumps(document).encode(), name, store.spools)
    write_import(found, store.spools)
    store.take_in_all()
    return found.run_id


def published_topk(cost, values=(1, 2), samples=6, **more):
    """A published profiling file of top-k, which says nothing of what it was measured on unless `metadata` is given."""
    rows = [
        {
            "top_k": top_k,
            "T_vision_encoder": 4.0,
            "T_projector": 1.0,
            "T_LLM_prefill": cost(top_k) * (1 + 0.001 * (number % 3 - 1)),
            "T_LLM_decode": 2 * cost(top_k) / 10,
            "T_total": 5.0 + 1.2 * cost(top_k),
            "num_vision_tokens": 288,
            "num_output_tokens": 3,
        }
        for number in range(samples)
        for top_k in values
    ]
    block = {"P50": 1.0, "mean": 1.0, "std": 0.0, "min": 1.0, "max": 1.0}
    summary = [{"top_k": top_k, "prefill": block, "decode": block} for top_k in values]
    return {"summary": summary, "all_samples": rows, **more}
