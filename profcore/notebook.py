"""A notebook's door: runs, samples, summaries and charts of a database or of result files, as pandas and Altair.

`profcore.open` and `profcore.read` lead here; both only read.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import altair as alt

from profcore.charts.base import Stack, joined, without_click
from profcore.charts.views import sweep_views, why_empty
from profcore.errors import UserError
from profcore.export.archive import AnyResult, load_run
from profcore.export.run_figures import run_figures
from profcore.formats.imports import reading_path, write_imports
from profcore.paths import default_database
from profcore.results.base import run_titles
from profcore.results.named import find_run
from profcore.results.pictures import PictureResult
from profcore.results.sweep import Result
from profcore.spec.text import counted
from profcore.storage.store import Store, open_for_reading, spool_directory

if TYPE_CHECKING:
    import pandas as pd


class Results:
    """Runs that were measured or imported, to look at from a notebook.

    A run is named by its id or a beginning that is its alone; where there is one run only, it need not be named. What
    is looked at is a copy of the moment it was opened, so that a dashboard can start or go on beside it; `close`, or
    the end of a `with`, deletes the copy.
    """

    def __init__(self, store: Store, held: ExitStack) -> None:
        self._store, self._held = store, held

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{counted(len(self.runs()), 'run')} of {self._store.path}>"

    def close(self) -> None:
        """Delete the copy; once is enough."""
        self._held.close()

    def runs(self, experiment: str | None = None) -> pd.DataFrame:
        """All runs, or one experiment's, newest first, with `title` and `num_samples`; times are UTC."""
        found = self._store.runs(experiment)
        return found.assign(title=run_titles(self._store.run_list(experiment)))

    def samples(self, run: str | None = None) -> pd.DataFrame:
        """Every sample of a run with its setting's knobs, decode steps included, in the order measured.

        Units: milliseconds, unless a column's name ends in another unit.

        Raises:
            UserError: There is no such run.
        """
        return self._store.sample_table(self._named(run)).to_pandas()

    def summary(self, run: str | None = None) -> pd.DataFrame:
        """What a run's samples say: a row for each setting and latency of a sweep, or for each picture.

        Units: milliseconds. Intervals are the median's at 95 % confidence; of a sweep with `floor_ms` and `over_floor`.

        Raises:
            UserError: There is no such run.
        """
        result = self._result(run)
        return result.points if isinstance(result, PictureResult) else result.summary

    def environment(self, run: str | None = None) -> dict[str, Any]:
        """What a run was asked and what it was measured on, as a result file's metadata says it.

        Raises:
            UserError: There is no such run.
        """
        return self._result(run).metadata

    def cautions(self, run: str | None = None) -> list[str]:
        """What to know before quoting a run's figures.

        Raises:
            UserError: There is no such run.
        """
        return [caution.text for caution in self._result(run).cautions]

    def views(self, run: str | None = None) -> list[str]:
        """What can be drawn of a run, as its page calls it.

        Raises:
            UserError: There is no such run.
        """
        result = self._result(run)
        return list(sweep_views(result.experiment.knob)) if isinstance(result, Result) else list(run_figures(result))

    def chart(
        self, run: str | None = None, view: str | None = None
    ) -> alt.LayerChart | alt.HConcatChart | alt.VConcatChart:
        """A run's chart as its page draws it; several stand here as they do there.

        Args:
            run: Which run.
            view: One of `views`; the first unless given.

        Raises:
            UserError: There is no such run or view, or the run has nothing for it.
        """
        result = self._result(run)
        if isinstance(result, Result):
            steps = partial(self._store.decode_steps, result.run["id"])
            draw = _chosen(sweep_views(result.experiment.knob), view)
            drawn = [] if result.summary.empty else draw(result, steps)
            lacks = "it has no samples" if result.summary.empty else why_empty(draw)
        else:
            drawn, lacks = _chosen(run_figures(result), view), "it has no samples"
        if not drawn:
            raise UserError(f"Nothing of run {result.run['id']} can be drawn here: {lacks}.")
        shown = [without_click(chart) for chart in drawn]
        return joined(Stack(shown) if isinstance(drawn, Stack) else shown)

    def _result(self, run: str | None) -> AnyResult:
        result = load_run(self._store, self._named(run))
        if result is None:
            raise UserError(f"Run {run} is of an experiment that this version does not know.")
        return result

    def _named(self, run: str | None) -> str:
        if run is not None:
            return find_run(self._store, run)
        ids = self._store.runs()["id"].tolist()
        if len(ids) != 1:
            raise UserError(f"There are {len(ids)} runs: name one by its id, as `runs()` lists them.")
        return ids[0]


def _chosen(views: dict[str, Any], name: str | None) -> Any:
    if name is None:
        return next(iter(views.values()), [])
    if name not in views:
        raise UserError(f"There is no view {name!r}: choose from {', '.join(views)}.")
    return views[name]


def open_database(path: str | Path | None = None) -> Results:
    """Open a database to read it, also one that a dashboard holds (which is then read from its spools).

    Args:
        path: The database; that of the dashboard and the command line unless given.

    Raises:
        UserError: There is none, or it is no database of this project.
    """
    database = Path(path) if path is not None else default_database()
    if not database.exists() and not spool_directory(database).is_dir():
        raise UserError(f"There is no database {str(database)!r}: measure or import something first.")
    with ExitStack() as opening:
        held = opening.enter_context(ExitStack())
        copy = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="profcore-"))) / "copy.duckdb"
        with open_for_reading(database) as live:
            live.connection.snapshot(copy)
        store = held.enter_context(Store(copy))
        opening.pop_all()
    return Results(store, held)


def read_file(path: str | Path) -> Results:
    """Read a spool, a result file, ours or published, or a zip or folder of them, with the runs that it holds.

    Raises:
        FormatError: It is nothing that this project reads.
        OSError: It cannot be read, or is no regular file.
    """
    with ExitStack() as opening:
        held = opening.enter_context(ExitStack())
        directory = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="profcore-")))
        store = held.enter_context(Store(directory / "read.duckdb"))
        with reading_path(Path(path), store.spools) as found:
            write_imports(found, store.spools)
        store.take_in_all()
        opening.pop_all()
    return Results(store, held)
