"""What a person may take away: a run as result files, tables and figures, or all there is."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from profcore import formats
from profcore.experiments.knobs import CATALOGUE
from profcore.experiments.motivation import MOTIVATION
from profcore.export import archive
from profcore.spec.stages import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from profcore.results.base import MeasuredRun
    from profcore.storage.store import Store


class Downloads:
    """Runs of a store as files' contents."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def result_name(self, result: MeasuredRun) -> str:
        """What a run's result file is called."""
        name = result.run["experiment"]
        return CATALOGUE[name].file if name in CATALOGUE else MOTIVATION[name].file

    def result_json(self, result: MeasuredRun) -> str:
        """A run in the published format of its experiment."""
        return next(iter(archive.run_result_files(self._store, result).values()))

    def samples_csv(self, result: MeasuredRun) -> str:
        """A run's samples as CSV."""
        return formats.samples_csv(self._store.sample_table(result.run["id"]))

    def samples_parquet(self, result: MeasuredRun) -> bytes:
        """A run's samples as Parquet."""
        return formats.samples_parquet(self._store.sample_table(result.run["id"]), result.metadata)

    def run_zip(self, run_id: str) -> bytes:
        """A run's result files, samples and figures as a zip."""
        return archive.zip_runs(self._store, [run_id])

    def all_zip(self, tell: Callable[[int], None]) -> bytes:
        """Every run that has ended, as a zip; `tell` is told how many are done."""
        return archive.zip_runs(self._store, self.ended_runs(), tell)

    def ended_runs(self) -> list[str]:
        """The ids of the runs that have ended."""
        runs = self._store.runs()
        return [run_id for run_id, state in zip(runs["id"], runs["state"], strict=True) if State(state).ended]

    def snapshot(self) -> bytes:
        """The whole database as a file's content, copied while it is in use."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "profcore.duckdb"
            self._store.connection.snapshot(path)
            return path.read_bytes()
