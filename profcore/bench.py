"""`python -m profcore bench`: what the measuring itself costs, as ratios within one run, and the model's own speed.

Nothing here is asserted: a machine's noise belongs beside the figure, not in a test.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings, default_values
from profcore.images.pictures import load_picture
from profcore.measure.clock import make_clock
from profcore.measure.environment import describe
from profcore.measure.telemetry import Telemetry
from profcore.models.inputs import grid_inputs
from profcore.spec.queries import Picture
from profcore.spec.records import Sample
from profcore.spec.runs import RunSpec, Sweep, Target
from profcore.spec.stages import Clock
from profcore.storage.spool import SpoolWriter
from profcore.worker.execute import execute
from profcore.worker.shelf import ModelShelf

if TYPE_CHECKING:
    from collections.abc import Callable

_PAIRS = 60
_MILLION = 1_000_000
_MANY_ROWS = 100_000


@dataclass(frozen=True)
class Figure:
    """One measured figure, what was asked of it, and how it was taken."""

    benchmark: str
    value: float
    unit: str
    target: str
    how: str


def run_benchmarks(target: Target, only: list[str] | None, as_json: bool) -> int:
    """Run benchmarks, print their figures with the machine they are from, and return the exit status.

    Raises:
        UserError: One asked for does not exist.
    """
    unknown = sorted(set(only or ()) - BENCHMARKS.keys())
    if unknown:
        raise UserError(f"There is no benchmark {', '.join(unknown)}: choose from {', '.join(BENCHMARKS)}.")
    shelf = ModelShelf()
    figures = []
    for name, benchmark in BENCHMARKS.items():
        if only is None or name in only:
            try:
                figures += benchmark(target, shelf)
            except ImportError as error:
                print(f"{name}: not run, {error.name} is not installed here.")
    loaded = shelf.get(target)
    environment = describe(target, loaded, shelf.engine(target), Clock.EVENTS, Telemetry(loaded.model.device).driver)
    if as_json:
        rows = [asdict(figure) for figure in figures]
        print(json.dumps({"environment": environment.to_dict(), "figures": rows}, indent=2))
        return 0
    model = f"{environment.model} ({environment.weights} weights, {environment.dtype})"
    engine = f"{environment.engine} engine, experts: {environment.experts}"
    versions = f"torch {environment.torch} · transformers {environment.transformers}"
    print(f"{environment.device_name} · {model} · {engine} · {versions}")
    for figure in figures:
        print(f"{figure.benchmark:<16} {figure.value:10.4g} {figure.unit:<8} ({figure.target})  {figure.how}")
    return 0


def load_time(target: Target, shelf: ModelShelf) -> list[Figure]:
    """How long the model takes to be ready, imports not counted."""
    begin = time.perf_counter()
    loaded = shelf.get(target)
    if loaded.model.device.type == "cuda":
        torch.cuda.synchronize()
    return [Figure("load", time.perf_counter() - begin, "s", "at most 20", f"{target.model} made on {target.device}")]


def overhead(target: Target, shelf: ModelShelf) -> list[Figure]:
    """Instrumented against bare inference, alternating which goes first."""
    loaded, engine = shelf.get(target), shelf.engine(target)
    model = loaded.model
    setting = base_setting(CATALOGUE["moe_topk"], model.config)
    inputs = grid_inputs(loaded, load_picture(Picture()), setting.grid, "Describe this image.")
    clock = make_clock(Clock.EVENTS, model.device)

    def once(instrumented: bool) -> float:
        _wait(model.device)
        begin = time.perf_counter()
        engine.infer(inputs, setting, clock if instrumented else None)
        if instrumented:
            clock.read()
        _wait(model.device)
        return time.perf_counter() - begin

    for _ in range(3):
        once(True)
    pairs = []
    for number in range(_PAIRS):
        first = once(number % 2 == 0)
        second = once(number % 2 == 1)
        pairs.append((first, second) if number % 2 == 0 else (second, first))
    # The median of the pairs' ratios: neighbours share what the machine is doing at the time.
    ratio = statistics.median(instrumented / bare for instrumented, bare in pairs)
    return [Figure("overhead", ratio, "ratio", "at most 1.02", f"instrumented / bare, median of {_PAIRS} pairs")]


def duty(target: Target, shelf: ModelShelf) -> list[Figure]:
    """Which share of a run's wall time is measured inference, once every setting is warm."""
    config = shelf.get(target).model.config
    experiment = CATALOGUE["context_scaling"]
    settings = build_settings(experiment, (1, 6, 12), base_setting(experiment, config))
    samples = _samples(target, shelf, Sweep(experiment.name, settings, num_samples=30))
    warm = [sample for sample in samples if sample.round > 0]
    wall = warm[-1].elapsed_s + warm[-1].total_ms / 1e3 - warm[0].elapsed_s
    share = sum(sample.total_ms for sample in warm) / 1e3 / wall
    return [Figure("duty", share, "share", "at least 0.85", f"{len(warm)} one-token inferences, 1×1 to 1×12")]


_TARGETS = {
    "eager": {"prefill": "at most 35", "decode top-8": "at most 35"},
    "compiled": {
        "vision 13 crops": "at most 12, aim 8",
        "prefill": "at most 15, aim 8",
        "decode top-1": "at most 1.8, aim 0.6",
        "decode top-8": "at most 2.5, aim 1.3",
        "decode top-32": "at most 4.5, aim 3.5",
    },
}


def speed(target: Target, shelf: ModelShelf) -> list[Figure]:
    """Vision encoder at 13 crops, prefill at 1×6, and decode at three top-k, medians."""
    config = shelf.get(target).model.config
    context, topk = CATALOGUE["context_scaling"], CATALOGUE["moe_topk"]
    grids = build_settings(context, (6, 12), base_setting(context, config))
    choices = [value for value in (1, config.top_k, 32) if value <= config.num_experts]
    answers = build_settings(topk, choices, base_setting(topk, config))
    pictures = _samples(target, shelf, Sweep(context.name, grids, num_samples=50))
    steps = _samples(target, shelf, Sweep(topk.name, answers, num_samples=50))
    found = {
        "vision 13 crops": ([s.vision_encoder_ms for s in pictures if s.setting == 1], "1×12"),
        "prefill": ([s.llm_prefill_ms for s in pictures if s.setting == 0], "1×6"),
    }
    for index, value in enumerate(choices):
        taken = [step for sample in steps if sample.setting == index for step in sample.decode_steps_ms]
        found[f"decode top-{value}"] = (taken, "1×1, each step")
    targets = _TARGETS.get(target.engine, {})
    return [
        Figure(name, statistics.median(values), "ms", targets.get(name, "no target"), f"{how}, {len(values)} values")
        for name, (values, how) in found.items()
        if values
    ]


def suite(target: Target, shelf: ModelShelf) -> list[Figure]:
    """All four default experiments from a loaded model, 50 samples a setting, compiling and capturing included."""
    config = shelf.get(target).model.config
    begin, inferences = time.perf_counter(), 0
    for experiment in CATALOGUE.values():
        values = default_values(experiment, config)
        settings = build_settings(experiment, values, base_setting(experiment, config))
        inferences += len(_samples(target, shelf, Sweep(experiment.name, settings, num_samples=50)))
    minutes = (time.perf_counter() - begin) / 60
    asked = "at most 12, aim 5" if target.engine == "compiled" else "no target"
    return [Figure("suite", minutes, "min", asked, f"{inferences} inferences of all four default experiments")]


def memory(target: Target, shelf: ModelShelf) -> list[Figure]:
    """Device memory that a sweep of sixteen settings takes with everything that it captured."""
    config, experiment = shelf.get(target).model.config, CATALOGUE["transformer_blocks_mask"]
    if shelf.get(target).model.device.type != "cuda":
        return []
    values = default_values(experiment, config)
    settings = build_settings(experiment, values, base_setting(experiment, config))
    torch.cuda.empty_cache()
    _samples(target, shelf, Sweep(experiment.name, settings, num_samples=1))
    # Taken from the card, since the allocator does not see what graphs hold.
    free, total = torch.cuda.mem_get_info()
    return [
        Figure("memory", (total - free) / 1e9, "GB", "under 40", f"in use on the card after {len(settings)} settings")
    ]


def first_sample(target: Target, shelf: ModelShelf) -> list[Figure]:
    """From asking for a run to its first bar as a chart, with a worker that has the model loaded.

    This is the dashboard's own path without the browser: queue, worker process, spool, store, chart. A page looks
    every half second, which comes on top.
    """
    from profcore import charts
    from profcore.service import Service
    from profcore.spec.stages import Stage, State

    config = shelf.get(target).model.config
    experiment = CATALOGUE["context_scaling"]
    settings = build_settings(experiment, range(1, 13), base_setting(experiment, config))
    stages = (Stage.VISION_ENCODER, Stage.PROJECTOR, Stage.LLM_PREFILL)
    with tempfile.TemporaryDirectory() as directory:
        service = Service(Path(directory) / "bench.duckdb")

        def until(run_id: str, enough: Callable[[dict[str, Any]], bool]) -> None:
            while not ((run := service.store.run(run_id)) and (enough(run) or run["state"] == State.FAILED)):
                time.sleep(0.02)

        try:
            warm = service.start(target, Sweep(experiment.name, settings[:1], num_samples=1))
            until(warm, lambda run: State(run["state"]).ended)
            times = []
            for _ in range(5):
                begin = time.perf_counter()
                run_id = service.start(target, Sweep(experiment.name, settings, num_samples=2))
                until(run_id, lambda run: run["num_samples"] > 0)
                result = service.result(run_id)
                assert result
                charts.breakdown(result.summary, experiment, stages, "ttft_ms").to_dict()
                times.append(time.perf_counter() - begin)
                service.stop(run_id)
                until(run_id, lambda run: State(run["state"]).ended)
        finally:
            service.close()
    how = "asked for to first bar, warm worker, median of 5; a page adds up to 0.5 s"
    return [Figure("first-sample", statistics.median(times), "s", "at most 2", how)]


def page_data(target: Target, shelf: ModelShelf) -> list[Figure]:
    """What a page asks the store for: one run's samples, summary, intervals and cautions."""
    from profcore.results.sweep import load_result
    from profcore.storage.store import Store
    from profcore.synthetic import fill

    del target, shelf
    with tempfile.TemporaryDirectory() as directory, Store(Path(directory) / "bench.duckdb") as store:
        runs = fill(store, runs=200, samples=_MILLION, experiment="output_tokens")
        one = _median_ms(lambda: load_result(store, runs[100]))
        listed = _median_ms(store.runs)
        huge = fill(store, runs=1, samples=_MILLION, experiment="output_tokens")[0]
        whole = _median_ms(lambda: load_result(store, huge))
    return [
        Figure("page", one, "ms", "at most 100", "a run of 5,000 samples, 200 runs and 1,000,000 samples stored"),
        Figure("page-list", listed, "ms", "at most 100", "the list of those 200 runs"),
        Figure("page-huge", whole, "ms", "no target", "one run of 1,000,000 samples"),
    ]


def take_in(target: Target, shelf: ModelShelf) -> list[Figure]:
    """From a result file of 100,000 rows to its samples in the store."""
    from profcore.intake import lay_down, recognise
    from profcore.storage.store import Store

    del target, shelf
    stages = {"T_vision_encoder": 5.25, "T_projector": 0.125, "T_LLM_prefill": 7.5, "T_LLM_decode": 10.75}
    counts = {"num_crops": 7, "num_vision_tokens": 704, "num_language_tokens": 778, "num_output_tokens": 11}
    rows = [{"image_id": n, "query_id": n, **counts, **stages, "T_total": 24.0 + n / 1e4} for n in range(_MANY_ROWS)]
    data = json.dumps({"results": rows}).encode()

    def once() -> None:
        with tempfile.TemporaryDirectory() as directory, Store(Path(directory) / "bench.duckdb") as store:
            lay_down(recognise(data, "bench.json", store.spools), store.spools)
            assert store.take_in_all() == _MANY_ROWS

    seconds = _median_ms(once, times=3) / 1e3
    return [Figure("import", seconds, "s", "at most 5", f"{_MANY_ROWS:,} rows of a Motivation file, median of 3")]


def figures(target: Target, shelf: ModelShelf) -> list[Figure]:
    """A figure at 300 DPI, after the first, which also starts what draws it."""
    from profcore.archive import load_run
    from profcore.figures import figure
    from profcore.run_figures import run_figures
    from profcore.storage.store import Store

    del target, shelf
    with tempfile.TemporaryDirectory() as directory, Store(Path(directory) / "bench.duckdb") as store:
        store.take_in_shipped()
        results = [load_run(store, run_id) for run_id in store.runs()["id"]]
        drawn = [charts for result in results if result for charts in run_figures(result).values()]
        figure(drawn[0], "png")
        times = [_median_ms(lambda charts=charts: figure(charts, "png"), times=3) / 1e3 for charts in drawn]  # type: ignore[misc]
    how = f"PNG at 300 DPI, the slowest of the {len(times)} figures of the sample results"
    return [Figure("figure", max(times), "s", "at most 1", how)]


def _samples(target: Target, shelf: ModelShelf, sweep: Sweep) -> list[Sample]:
    """What a run of the sweep measures, spool and all."""
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as directory:
        spec = RunSpec.new(target, sweep)
        with SpoolWriter(Path(directory) / f"{spec.id}.jsonl") as writer:
            writer.run(spec)
            execute(spec, writer, shelf, lambda: False, lambda r: samples.append(r) if isinstance(r, Sample) else None)
    return samples


def _median_ms(call: Callable[[], object], times: int = 9) -> float:
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        call()
        taken.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(taken)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


BENCHMARKS: dict[str, Callable[[Target, ModelShelf], list[Figure]]] = {
    "load": load_time,
    "overhead": overhead,
    "duty": duty,
    "speed": speed,
    "suite": suite,
    "memory": memory,
    "first-sample": first_sample,
    "page": page_data,
    "import": take_in,
    "figure": figures,
}
