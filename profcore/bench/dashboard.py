"""How fast the dashboard is: first bar, page data, import, figures."""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.bench.base import Figure, at_most
from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings
from profcore.spec.runs import Sweep, Target
from profcore.worker.shelf import ModelShelf

if TYPE_CHECKING:
    from collections.abc import Callable


_MILLION = 1_000_000
_MANY_RUNS = 10_000
_WATCHERS = 10
_WATCHED_S = 10.0
_LOOK_S, _WAITS_S = 0.5, 0.1
_MANY_ROWS = 100_000


def first_sample(target: Target, shelf: ModelShelf) -> list[Figure]:
    """From asking for a run to its first bar as a chart, with a worker that has the model loaded.

    This is the dashboard's own path without the browser: queue, worker process, spool, store, chart. A page looks
    every half second, which comes on top.
    """
    from profcore import charts
    from profcore.results.sweep import load_result
    from profcore.service.service import Service
    from profcore.spec.stages import TTFT_STAGES, State

    config = shelf.get(target).model.config
    experiment = CATALOGUE["context_scaling"]
    settings = build_settings(experiment, range(1, 13), base_setting(experiment, config))
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
                result = load_result(service.store, run_id)
                assert result
                charts.breakdown(result.summary, experiment, TTFT_STAGES, "ttft_ms").to_dict()
                times.append(time.perf_counter() - begin)
                service.stop(run_id)
                until(run_id, lambda run: State(run["state"]).ended)
        finally:
            service.close()
    how = "asked for to first bar, warm worker, median of 5; a page adds up to 0.5 s"
    return [Figure("first-sample", statistics.median(times), "s", how, at_most(1.5), at_most(1.0))]


def page_data(target: Target, shelf: ModelShelf) -> list[Figure]:
    """What a page asks the store for: one run's samples, summary, intervals and cautions."""
    from profcore.bench.synthetic import fill
    from profcore.results.sweep import load_result
    from profcore.storage.store import Store

    del target, shelf
    with tempfile.TemporaryDirectory() as directory, Store(Path(directory) / "bench.duckdb") as store:
        runs = fill(store, runs=200, samples=_MILLION, experiment="output_tokens")
        one = _median_ms(lambda: load_result(store, runs[100]))
        listed = _median_ms(store.runs)
        huge = fill(store, runs=1, samples=_MILLION, experiment="output_tokens")[0]
        whole = _median_ms(lambda: load_result(store, huge))
    return [
        Figure("page", one, "ms", "a run of 5,000 samples, 200 runs and 1,000,000 samples stored", at_most(100)),
        Figure("page-list", listed, "ms", "the list of those 200 runs", at_most(100)),
        Figure("page-huge", whole, "ms", "one run of 1,000,000 samples"),
    ]


def run_list(target: Target, shelf: ModelShelf) -> list[Figure]:
    """What the page of all runs asks, of very many: anew after each change, and again while nothing changes."""
    from profcore.bench.synthetic import fill, multiply
    from profcore.service.service import Service
    from profcore.storage.store import Store

    del target, shelf
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "bench.duckdb"
        with Store(path) as store:
            fill(store, runs=80, samples=80 * 100)
            multiply(store, _MANY_RUNS)
        service = Service(path)
        try:
            run_id = service.runs()["id"].iloc[0]
            again = _median_ms(service.runs)

            def changed() -> None:
                service.rename(run_id, "another name")
                service.runs()

            anew = _median_ms(changed)
        finally:
            service.close()
    many = f"{_MANY_RUNS:,} runs and {_MANY_RUNS * 100:,} samples stored"
    return [
        Figure("runs-changed", anew, "ms", f"the list of all runs after a change, {many}", at_most(300)),
        Figure("runs-again", again, "ms", "the same while nothing changes", at_most(300)),
    ]


def watching(target: Target, shelf: ModelShelf) -> list[Figure]:
    """What a look at a growing run costs where several sessions watch it: data, charts and tables, but no Streamlit.

    Each session looks twice a second; a sample comes every tenth of a second.
    """
    from profcore import charts
    from profcore.bench.synthetic import fill
    from profcore.charts.views import sweep_views
    from profcore.results.sweep import load_result
    from profcore.results.tables import display_samples, display_summary
    from profcore.service.shared import Shared
    from profcore.storage.store import Store

    del target, shelf
    taken: list[float] = []
    with tempfile.TemporaryDirectory() as directory, Store(Path(directory) / "bench.duckdb") as store:
        (run_id,) = fill(store, runs=1, samples=600, experiment="context_scaling")
        shared = Shared(lambda: store.connection.changes)
        end = time.monotonic() + _WATCHED_S

        def draw() -> object:
            result = load_result(store, run_id)
            assert result
            views = sweep_views(result.experiment.knob)
            drawn = next(iter(views.values()))(result, lambda: store.decode_steps(run_id))
            tables = display_summary(result), display_samples(result, newest=200)
            return [charts.vega_lite(chart) for chart in drawn], tables

        def watch() -> None:
            while time.monotonic() < end:
                begin = time.perf_counter()
                shared.follow(run_id, draw, _LOOK_S, _WAITS_S)
                taken.append((time.perf_counter() - begin) * 1e3)
                time.sleep(_LOOK_S)

        threads = [threading.Thread(target=watch) for _ in range(_WATCHERS)]
        for thread in threads:
            thread.start()
            time.sleep(_LOOK_S / _WATCHERS)
        while time.monotonic() < end:
            with store.connection.transaction() as cursor:
                cursor.execute("UPDATE runs SET phase = 'Measuring' WHERE id = ?", [run_id])
            time.sleep(0.1)
        for thread in threads:
            thread.join()
        shared.close()
    how = f"95th percentile of {len(taken)} looks of {_WATCHERS} sessions at one growing run"
    return [Figure("watch", statistics.quantiles(taken, n=20)[-1], "ms", how, at_most(500))]


def take_in(target: Target, shelf: ModelShelf) -> list[Figure]:
    """From a result file of 100,000 rows to its samples in the store."""
    from profcore.formats.imports import read_import, write_import
    from profcore.storage.store import Store

    del target, shelf
    stages = {"T_vision_encoder": 5.25, "T_projector": 0.125, "T_LLM_prefill": 7.5, "T_LLM_decode": 10.75}
    counts = {"num_crops": 7, "num_vision_tokens": 704, "num_language_tokens": 778, "num_output_tokens": 11}
    rows = [{"image_id": n, "query_id": n, **counts, **stages, "T_total": 24.0 + n / 1e4} for n in range(_MANY_ROWS)]
    data = json.dumps({"results": rows}).encode()

    def once() -> None:
        with tempfile.TemporaryDirectory() as directory, Store(Path(directory) / "bench.duckdb") as store:
            write_import(read_import(data, "bench.json", store.spools), store.spools)
            assert store.take_in_all() == _MANY_ROWS

    seconds = _median_ms(once, times=3) / 1e3
    return [Figure("import", seconds, "s", f"{_MANY_ROWS:,} rows of a Motivation file, median of 3", at_most(5))]


def data_zip(target: Target, shelf: ModelShelf) -> list[Figure]:
    """All sample runs as a zip of their data, none of them loaded before."""
    from profcore.service.service import Service

    del target, shelf
    with tempfile.TemporaryDirectory() as directory:
        service = Service(Path(directory) / "bench.duckdb")
        try:
            number = len(service.downloads.ended_runs())
            begin = time.perf_counter()
            data = service.downloads.all_zip()
            seconds = time.perf_counter() - begin
        finally:
            service.close()
    how = f"data of {number} sample runs, {len(data) / 1e6:.1f} MB; figures are drawn in the background"
    return [Figure("zip", seconds, "s", how, at_most(5))]


def figures(target: Target, shelf: ModelShelf) -> list[Figure]:
    """A figure at 300 DPI, after the first, which also starts what draws it."""
    from profcore.export.archive import load_run
    from profcore.export.figure_files import figure
    from profcore.export.run_figures import run_figures
    from profcore.storage.store import Store

    del target, shelf
    with tempfile.TemporaryDirectory() as directory, Store(Path(directory) / "bench.duckdb") as store:
        store.take_in_shipped()
        results = [load_run(store, run_id) for run_id in store.runs()["id"]]
        drawn = [charts for result in results if result for charts in run_figures(result).values()]
        figure(drawn[0], "png")
        times = [_median_ms(lambda charts=charts: figure(charts, "png"), times=3) / 1e3 for charts in drawn]  # type: ignore[misc]
    how = f"PNG at 300 DPI, the slowest of the {len(times)} figures of the sample results"
    return [Figure("figure", max(times), "s", how, at_most(1))]


def _median_ms(call: Callable[[], object], times: int = 9) -> float:
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        call()
        taken.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(taken)
