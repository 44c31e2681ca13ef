"""What a person may take away: a run as result files, tables and figures, or all there is."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from profcore import formats
from profcore.comparisons.between import load_series, spreads_of
from profcore.errors import UserError
from profcore.experiments.motivation import find_experiment
from profcore.export import archive
from profcore.export.report import report_html, report_latex, report_markdown
from profcore.service.figures import Figures
from profcore.service.shared import Shared
from profcore.spec.stages import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from profcore.comparisons.between import Spreads
    from profcore.results.base import MeasuredRun
    from profcore.service.results import Results
    from profcore.storage.store import Store

MOST_BYTES = 100_000_000
"""Of runs' data files that are kept together: those of the sample results are 37 million."""


class Downloads:
    """Runs of a store as files' contents.

    Attributes:
        figures: What draws and keeps figures.
    """

    def __init__(self, store: Store, results: Results) -> None:
        """Begin.

        Args:
            store: Where runs are.
            results: The same as pages show them.
        """
        self._store, self._results = store, results
        self.figures = Figures(results)
        self._data = Shared(lambda: store.connection.changes, weigh=_bytes, most=MOST_BYTES)

    def close(self) -> None:
        """Draw no more figures."""
        self.figures.close()
        self._data.close()

    def result_name(self, result: MeasuredRun) -> str:
        """What a run's result file is called."""
        return find_experiment(result.run["experiment"]).file

    def result_json(self, result: MeasuredRun) -> str:
        """A run in the published format of its experiment."""
        return next(iter(archive.run_result_files(self._store, result).values()))

    def result_zip(self, result: MeasuredRun) -> bytes:
        """A run's result files as a zip, where it has several: a file for each point of a joint run."""
        return archive.zip_files(archive.run_result_files(self._store, result))

    def samples_csv(self, result: MeasuredRun) -> str:
        """A run's samples as CSV."""
        return formats.samples_csv(self._store.sample_table(result.run["id"]))

    def samples_parquet(self, result: MeasuredRun) -> bytes:
        """A run's samples as Parquet."""
        return formats.samples_parquet(self._store.sample_table(result.run["id"]), result.metadata)

    def report(self, run_ids: Sequence[str]) -> str:
        """Runs as one self-contained page of HTML; several of one kind are compared with the first.

        Raises:
            UserError: One has been deleted, or has no samples.
        """
        return report_html(self._loaded(run_ids), self._spreads(run_ids))

    def tables(self, run_ids: Sequence[str]) -> tuple[str, str]:
        """The tables of a report in Markdown and in LaTeX.

        Raises:
            UserError: As `report`.
        """
        loaded = self._loaded(run_ids)
        spreads = self._spreads(run_ids)
        return report_markdown(loaded, spreads), report_latex(loaded, spreads)

    def _spreads(self, run_ids: Sequence[str]) -> Spreads | None:
        """How far processes differ; asked only where runs are compared."""
        return spreads_of(load_series(self._store)) if len(run_ids) > 1 else None

    def _loaded(self, run_ids: Sequence[str]) -> list[archive.AnyResult]:
        loaded = []
        for run_id in run_ids:
            found = archive.load_run(self._store, run_id)
            if found is None:
                raise UserError(f"Run {run_id} has been deleted.")
            loaded.append(found)
        return loaded

    def run_zip(self, run_id: str) -> bytes:
        """A run's result files, samples and figures as a zip.

        Raises:
            UserError: Its figures cannot be drawn.
        """
        return archive.zip_folders([(f"{run_id}/", {**self._data_of(run_id), **self.figures.of(run_id)})])

    def all_zip(self, figures: bool = False) -> bytes:
        """Every run that has ended as a zip, data alone or with figures; those that cannot be drawn are left out.

        Args:
            figures: Whether figures are in it; they are waited for (see `Figures.ask`).
        """
        return archive.zip_folders(
            (f"{run_id}/", {**self._data_of(run_id), **(self._figures_of(run_id) if figures else {})})
            for run_id in self.ended_runs()
        )

    def _data_of(self, run_id: str) -> dict[str, bytes]:
        """A run's data files, kept as long as nothing of it changes; none where it is gone."""

        def make() -> dict[str, bytes]:
            result = self._results.any(run_id)
            return archive.data_files(self._store, result) if result else {}

        state = self._results.state(run_id)
        # Of a run under way nothing is kept: it changes with every sample.
        return make() if state is None else self._data.get((run_id, state), make, math.inf)

    def _figures_of(self, run_id: str) -> dict[str, bytes]:
        try:
            return self.figures.of(run_id)
        except UserError:
            # The page names them.
            return {}

    def ended_runs(self) -> list[str]:
        """The ids of the runs that have ended."""
        return self._store.ids(str(state) for state in State if state.ended)

    def snapshot(self) -> bytes:
        """The whole database as a file's content, copied while it is in use."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "profcore.duckdb"
            self._store.connection.snapshot(path)
            return path.read_bytes()


def _bytes(files: Mapping[str, bytes]) -> int:
    return sum(map(len, files.values()))
