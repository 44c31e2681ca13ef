"""What many growing shards cost a dashboard, and what several cards save."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.bench.base import Figure, at_most
from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings
from profcore.models.config import PRESETS
from profcore.spec.runs import Sweep, Target
from profcore.spec.shards import run_id_of, shard_id, shard_spec, split
from profcore.spec.stages import State

if TYPE_CHECKING:
    from profcore.service.service import Service
    from profcore.spec.runs import Shard
    from profcore.worker.shelf import ModelShelf

_SHARDS, _SAMPLES = 100, 10_000
_LOOK_S, _WAITS_S = 0.5, 0.1


def growing_shards(target: Target, shelf: ModelShelf) -> list[Figure]:
    """What a page asks again and again of a run whose 100 shards of 10,000 samples are written meanwhile."""
    del target, shelf
    from profcore.service.service import Service

    sweep = shared_sweep(_SHARDS, _SAMPLES)
    with tempfile.TemporaryDirectory() as directory:
        service = Service(Path(directory) / "bench.duckdb")
        service.store.spools.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "profcore.bench.shard_writer", str(service.store.spools)]
        command += [str(_SHARDS), str(_SAMPLES)]
        begin = time.perf_counter()
        writer = subprocess.Popen(command)
        try:
            taken, seconds = _watch(service, split(Target(), sweep, _SHARDS, "bench")[0].campaign, begin)
        finally:
            writer.terminate()
            writer.wait()
            service.close()
    total = _SHARDS * _SAMPLES
    how = f"{_SHARDS} shards of {_SAMPLES:,} samples as they grow: {len(taken)} looks of a page at their run"
    return [
        Figure("shards-rerun", max(taken), "ms", f"{how}, the slowest", at_most(500)),
        Figure(
            "shards-rerun-95",
            sorted(taken)[int(0.95 * len(taken))],
            "ms",
            f"{how}, 95th percentile",
            at_most(500),
        ),
        Figure("shards-taken-in", seconds, "s", f"until all {total:,} samples are stored, written meanwhile"),
    ]


def shared_sweep(shards: int, samples: int) -> Sweep:
    """A sweep of output tokens of which each shard takes about so many samples."""
    experiment, config = CATALOGUE["output_tokens"], PRESETS["molmoe-1b"]
    settings = build_settings(experiment, range(1, shards * 3 + 1), base_setting(experiment, config))
    sweep = Sweep(experiment.name, settings)
    visited = max(len(shard.visited) for shard in split(Target(), sweep, shards, "bench"))
    return replace(sweep, num_samples=-(-samples // visited))


def _watch(service: Service, run_id: str, begin: float) -> tuple[list[float], float]:
    """Look as a page does until the run is done; milliseconds of each look, and seconds until all was stored."""
    from profcore import charts
    from profcore.charts.views import sweep_views
    from profcore.results.tables import display_samples, display_summary

    def draw() -> object:
        result = service.results.sweep(run_id)
        if result is None or result.samples.empty:
            return None
        views = sweep_views(result.experiment.knob)
        drawn = next(iter(views.values()))(result, lambda: service.store.decode_steps(run_id))
        tables = display_summary(result), display_samples(result, newest=200)
        return [charts.vega_lite(chart) for chart in drawn], tables

    taken: list[float] = []
    done_at = 0.0
    while not done_at:
        time.sleep(_LOOK_S)
        start = time.perf_counter()
        service.runs()
        run = service.store.run(run_id)
        service.shared.follow(run_id, draw, _LOOK_S, _WAITS_S)
        taken.append((time.perf_counter() - start) * 1e3)
        if run and run["state"] == State.FAILED:
            raise RuntimeError(run["reason"])
        if run and run["state"] == State.DONE and time.perf_counter() - begin > 1:
            done_at = time.perf_counter() - begin
    # The first look is no rerun.
    return taken[1:], done_at


def write_shards(folder: Path, shards: int, samples: int) -> None:
    """Write shards' spools side by side, a sample of each in turn, as cards that measure at once would."""
    from profcore.storage.spool import SpoolWriter, spool_path

    sweep = shared_sweep(shards, samples)
    parts = split(Target(), sweep, shards, "bench")
    environment = {"device_name": "made up", "model": "tiny", "weights": "random", "dtype": "float32"}
    environment |= {"engine": "eager", "clock": "events", "host": "node"}
    with ExitStack() as held:
        # Held to the end: what nobody writes any more would be ended.
        writers = []
        for shard in parts:
            writer = held.enter_context(SpoolWriter(spool_path(folder, shard_id(shard))))
            writer.run(shard_spec(Target(), sweep, shard))
            writer.state(State.RUNNING)
            writer.write({"type": "environment", **environment, "card": f"GPU-{shard.index}"})
            writers.append(writer)
        for number in range(samples):
            for shard, writer in zip(parts, writers, strict=True):
                writer.write(_sample(shard, number))
        for writer in writers:
            writer.state(State.DONE)


def _sample(shard: Shard, number: int) -> dict[str, Any]:
    """A sample's record; its latency depends on its setting, and noise on its number alone."""
    visited = shard.visited
    setting = visited[number % len(visited)]
    noise = ((number * 7919 + shard.index * 104729) % 1000) / 1e5
    decode = round(0.9 * (setting + 1) * (1 + noise), 6)
    return {
        **{"type": "sample", "sample_id": number, "setting": setting, "round": number // len(visited)},
        **{"elapsed_s": number / 100, "vision_encoder_ms": 3.5 + noise, "projector_ms": 0.2 + noise},
        **{
            "llm_prefill_ms": 5.5 + noise,
            "llm_decode_ms": decode,
            "other_ms": 0.1,
            "total_ms": 9.3 + decode + 3 * noise,
        },
        **{"decode_steps_ms": [0.9], "num_crops": 2, "num_vision_tokens": 288, "num_input_tokens": 311},
        **{"num_output_tokens": setting + 1},
    }


def shared_by_cards(target: Target, shelf: ModelShelf) -> list[Figure]:
    """A sweep of 16 settings on one card and on two: how much of one card's time two take, and how far medians differ.

    Anchors and the second card's captures are in the time; the models are loaded before.
    """
    del shelf
    from profcore.worker.queue import Jobs

    with tempfile.TemporaryDirectory() as directory:
        jobs = Jobs(Path(directory), by="command")
        try:
            there = jobs.devices()
            cards = [each["id"] for each in there if each["id"] != "cpu" and each["name"] == there[0]["name"]]
            if len(cards) < 2:
                print("cards: not run, a machine with two cards of one kind is needed.", file=sys.stderr)
                return []
            return on_two(jobs, replace(target, device=cards[0]), cards[:2])
        finally:
            jobs.close()


def on_two(jobs: Any, target: Target, cards: list[str], samples: int = 50) -> list[Figure]:
    """The figures of `shared_by_cards`, by the queues of two cards."""
    experiment, config = CATALOGUE["moe_topk"], PRESETS["tiny" if target.model == "tiny" else "molmoe-1b"]
    settings = build_settings(experiment, range(1, 17), base_setting(experiment, config))
    sweep = Sweep(experiment.name, settings, samples)
    # What is compiled is kept on disk: both cards load their model, and find all of it there.
    _measured(jobs, target, replace(sweep, num_samples=1, seed=1), cards, 0)
    one, alone = _measured(jobs, target, sweep, cards[:1], 0)
    two, both = _measured(jobs, target, sweep, cards, None)
    bare, _ = _measured(jobs, target, sweep, cards, 0)
    _, other = _measured(jobs, replace(target, device=cards[1]), sweep, cards[1:], 0)
    worst, apart = (
        100 * max(abs(medians[setting] / alone[setting] - 1) for setting in alone) for medians in (both, other)
    )
    how = f"16 settings, {samples} samples each, {target.engine}: of one card's {one:.1f} s"
    return [
        Figure("cards-anchors", two / one, "", f"{how}, two cards with anchors and second capture", at_most(0.62)),
        Figure("cards-bare", bare / one, "", f"{how}, two cards without anchors", at_most(0.55)),
        Figure("cards-medians", worst, "%", "the largest difference of a setting's median total", at_most(1.0)),
        Figure("cards-apart", apart, "%", "the same between the two cards, each of which measures all settings alone"),
    ]


def _measured(
    jobs: Any, target: Target, sweep: Sweep, cards: list[str], anchors: int | None
) -> tuple[float, dict[int, float]]:
    """Seconds that cards took together for a sweep, and each setting's median total in milliseconds."""
    from profcore.spec.runs import RunSpec, fresh_id
    from profcore.storage.growing import Growing
    from profcore.storage.lines import records_of_kinds
    from profcore.storage.spool import spool_path

    if len(cards) > 1:
        parts = split(target, sweep, len(cards), fresh_id(), anchors)
        specs = [shard_spec(replace(target, device=card), sweep, part) for card, part in zip(cards, parts, strict=True)]
    else:
        specs = [RunSpec.new(target, sweep)]
    begin = time.perf_counter()
    for spec in specs:
        jobs.submit(spec)
    growing = [Growing(spool_path(jobs.spools, spec.id)) for spec in specs]
    while not all(each.ended for each in growing):
        time.sleep(0.02)
        for each in growing:
            each.look()
    seconds = time.perf_counter() - begin
    for spec, each in zip(specs, growing, strict=True):
        if each.state is not State.DONE:
            raise RuntimeError(f"{run_id_of(spec)} {each.state}: {each.reason}")
    totals: dict[int, list[float]] = {}
    for spec in specs:
        for record in records_of_kinds(spool_path(jobs.spools, spec.id), "sample"):
            totals.setdefault(record["setting"], []).append(record["total_ms"])
    return seconds, {setting: statistics.median(values) for setting, values in totals.items()}
