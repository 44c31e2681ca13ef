"""Figures are drawn in a process of their own, kept for each run, and waited for by whoever wants them now."""

import io
import threading
import zipfile

import pytest

from profcore.errors import UserError
from profcore.export.figure_child import FigureProcess
from profcore.service.downloads import Downloads
from profcore.service.figures import Figures, Progress
from profcore.service.results import Results
from profcore.spec.stages import State
from profcore.storage.store import Store
from tests.comparisons.stored import store_run
from tests.support import small_sweep, until


class Drawing:
    """Draws nothing, in no process, and no faster than it is let."""

    def __init__(self):
        self.go, self.drawn, self.alive, self.begun = threading.Event(), [], True, threading.Event()
        self.go.set()

    def figure_files(self, result):
        self.drawn.append(result.run["id"])
        self.begun.set()
        self.go.wait()
        if result.run["name"] == "bad":
            raise UserError("They cannot be drawn.")
        return {"figures/a.png": result.run["id"].encode()}

    def end(self):
        self.alive = False
        self.go.set()


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "data.duckdb") as store:
        yield store


@pytest.fixture
def results(store):
    return Results(store, store.run_list)


@pytest.fixture
def drawing():
    return Drawing()


@pytest.fixture
def figures(results, drawing):
    figures = Figures(results, lambda: drawing)
    yield figures
    figures.close()


def some_runs(store, number, **more):
    return [store_run(store, small_sweep(), lambda setting: 1.0, hour=hour, **more) for hour in range(number)]


def test_figures_are_drawn_in_the_background_once_for_each_run(store, figures, drawing):
    runs = some_runs(store, 3)
    assert figures.progress(runs).done < len(runs)
    until(lambda: figures.ask(runs).done == 3)
    assert figures.progress(runs).done == len(runs)
    assert figures.of(runs[1]) == {"figures/a.png": runs[1].encode()}
    assert sorted(drawing.drawn) == sorted(runs)
    store.rename(runs[1], "mine")
    assert figures.progress(runs).done < len(runs)
    figures.of(runs[1])
    assert sorted(drawing.drawn) == sorted([*runs, runs[1]])


def test_who_wants_one_now_is_not_behind_all_the_others(store, figures, drawing):
    runs = some_runs(store, 4)
    drawing.go.clear()
    figures.ask(runs)
    drawing.begun.wait()
    wanted = threading.Thread(target=lambda: figures.of(runs[-1]))
    wanted.start()
    until(lambda: figures._asked.qsize() == 4)
    drawing.go.set()
    wanted.join()
    until(lambda: figures.ask(runs).done == 4)
    assert (drawing.drawn.index(runs[-1]), len(drawing.drawn)) == (1, 4)


class Ending(Drawing):
    """As a process: what it is drawing fails once it is ended."""

    def figure_files(self, result):
        files = super().figure_files(result)
        if not self.alive:
            raise UserError("It ended in the middle.")
        return files


@pytest.fixture
def started():
    """The processes that were started, one after another."""
    return []


@pytest.fixture
def stoppable(results, started):
    def start():
        started.append(Ending())
        if len(started) == 1:
            started[0].go.clear()
        return started[-1]

    figures = Figures(results, start)
    yield figures
    figures.close()


def test_looking_at_how_far_they_are_begins_nothing(store, figures, drawing):
    runs = some_runs(store, 2)
    assert figures.progress(runs) == Progress(0, {}, going=False)
    drawing.go.clear()
    assert figures.ask(runs) == figures.progress(runs) == Progress(0, {}, going=True)
    drawing.go.set()
    until(lambda: not figures.progress(runs).going)
    assert figures.progress(runs) == Progress(2, {}, going=False)


def test_what_is_stopped_ends_at_once_and_what_was_drawn_is_kept(store, stoppable, started):
    runs = some_runs(store, 4)
    with_first = threading.Thread(target=lambda: stoppable.of(runs[0]))
    with_first.start()
    until(lambda: started and started[0].begun.is_set())
    started[0].go.set()
    with_first.join()
    started[0].go.clear()
    started[0].begun.clear()
    stoppable.ask(runs)
    started[0].begun.wait()
    stoppable.stop()
    assert stoppable.progress(runs) == Progress(1, {}, going=False)
    assert not started[0].alive
    # None of them has failed: whoever asks again is given all.
    stoppable.ask(runs)
    until(lambda: stoppable.progress(runs).done == 4)
    assert stoppable.progress(runs) == Progress(4, {}, going=False)
    assert len(started) == 2


def test_who_waits_for_a_run_gets_it_though_all_others_are_stopped(store, stoppable, started):
    runs, got = some_runs(store, 3), []
    stoppable.ask(runs)
    until(lambda: started and started[0].begun.is_set())
    waiting = threading.Thread(target=lambda: got.append(stoppable.of(runs[2])))
    waiting.start()
    until(lambda: runs[2] in stoppable._waited)
    stoppable.stop()
    waiting.join()
    assert got == [{"figures/a.png": runs[2].encode()}]
    assert stoppable.progress(runs) == Progress(1, {}, going=False)


def test_stopping_leaves_what_somebody_waits_for_at_work(store, stoppable, started):
    runs, got = some_runs(store, 2), []
    waiting = threading.Thread(target=lambda: got.append(stoppable.of(runs[0])))
    waiting.start()
    until(lambda: started and started[0].begun.is_set())
    stoppable.ask(runs)
    stoppable.stop()
    assert started[0].alive
    started[0].go.set()
    waiting.join()
    assert (len(got), started[0].drawn) == (1, [runs[0]])
    assert stoppable.progress(runs) == Progress(1, {}, going=False)


def test_a_run_whose_figures_cannot_be_drawn_is_named_and_stops_no_other(store, results, drawing):
    good, bad = some_runs(store, 2)
    store.rename(bad, "bad")
    downloads = Downloads(store, results)
    downloads.figures = Figures(results, lambda: drawing)
    try:
        until(lambda: downloads.figures.ask([good, bad]).done == 2)
        assert downloads.figures.ask([good, bad]).failed == {bad: "They cannot be drawn."}
        with pytest.raises(UserError, match="cannot be drawn"):
            downloads.run_zip(bad)
        names = zipfile.ZipFile(io.BytesIO(downloads.all_zip(figures=True))).namelist()
        assert f"{good}/figures/a.png" in names
        assert not any(name.startswith(f"{bad}/figures") for name in names)
        assert f"{bad}/samples.csv" in names
        names = zipfile.ZipFile(io.BytesIO(downloads.all_zip())).namelist()
        assert not any("figures" in name for name in names)
        assert f"{good}/samples.parquet" in names
    finally:
        downloads.close()


def test_who_waits_as_the_dashboard_ends_is_told(store, results, drawing):
    runs, told = some_runs(store, 2), []
    figures = Figures(results, lambda: drawing)
    drawing.go.clear()
    figures.ask(runs)
    drawing.begun.wait()

    def wait():
        with pytest.raises(UserError, match="dashboard ends"):
            figures.of(runs[1])
        told.append(True)

    waiting = threading.Thread(target=wait)
    waiting.start()
    until(lambda: figures._asked.qsize() == 2)
    figures.close()
    waiting.join()
    assert told == [True]
    with pytest.raises(UserError, match="dashboard ends"):
        figures.of(runs[1])


def test_a_run_under_way_has_its_figures_as_it_is_and_they_are_not_kept(store, figures, drawing):
    (run_id,) = some_runs(store, 1, state=State.RUNNING)
    assert figures.of(run_id)
    assert figures.of(run_id)
    assert len(drawing.drawn) == 2


@pytest.mark.long
def test_a_process_of_its_own_draws_a_real_run_and_says_when_it_is_gone(store, results):
    (run_id,) = some_runs(store, 1)
    process = FigureProcess()
    files = process.figure_files(results.any(run_id))
    assert files["figures/samples_in_order.png"].startswith(b"\x89PNG")
    assert process.alive
    with pytest.raises(UserError, match="cannot be drawn"):
        process.figure_files(_Odd(run={"id": run_id}))
    assert process.figure_files(results.any(run_id)).keys() == files.keys()
    process._process.kill()
    with pytest.raises(UserError, match="ended in the middle"):
        process.figure_files(results.any(run_id))
    assert not process.alive


class _Odd:
    """A run that nobody can draw."""

    def __init__(self, run):
        self.run = run
