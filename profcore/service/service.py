"""What the dashboard asks: the one owner of the store, the jobs and the thread that takes spools in."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.data_sets import DataSet, read_data_set
from profcore.engines.names import check_engine
from profcore.errors import FormatError, UserError
from profcore.experiments.motivation import asks_each_picture_once, experiment_title, plan_all
from profcore.formats.imports import Import, read_import, write_import
from profcore.images.pictures import load_picture, open_picture
from profcore.models.config import model_shape
from profcore.models.knobs import check_setting
from profcore.results.base import run_titles
from profcore.service.downloads import Downloads
from profcore.service.questions import Questions
from profcore.spec.queries import Picture
from profcore.spec.runs import RunSpec, Sweep, Target
from profcore.spec.stages import State
from profcore.storage.store import Store
from profcore.worker.queue import Jobs

if TYPE_CHECKING:
    import pandas as pd

    from profcore.spec.queries import QuerySet

LARGEST_UPLOAD = 200_000_000
"""Bytes of a file that is taken in at once; a longer spool is one for the command line."""

_INTAKE_INTERVAL_S = 0.1
_log = logging.getLogger(__name__)


class Service:
    """One for each process and database; its methods may be called from any thread.

    Attributes:
        store: What is kept.
        jobs: The queues of runs and questions, and the workers.
        questions: What workers' tools are asked: profiles and inspections.
        downloads: What may be taken away.
    """

    def __init__(self, database: Path) -> None:
        """Open the database, take in what is there, and start the first worker.

        Raises:
            StoreError: The database cannot be used, or another process holds it.
        """
        self.store = Store(database)
        self.store.take_in_shipped()
        self.jobs = Jobs(self.store.spools)
        self.questions = Questions(self.store, self.jobs)
        self.downloads = Downloads(self.store)
        self.store.take_in_all()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._take_in, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop every run, end the workers and close the database; once is enough."""
        if self._closing.is_set():
            return
        self.jobs.close()
        self._closing.set()
        self._thread.join()
        self.store.take_in_all()
        self.store.close()

    def _take_in(self) -> None:
        """Take spools in as they grow, whoever writes them."""
        sizes: dict[Path, int] = {}
        while not self._closing.wait(_INTAKE_INTERVAL_S):
            for path in list(self.store.spools.glob("*.jsonl")):
                try:
                    size = path.stat().st_size
                    if sizes.get(path) != size:
                        self.store.try_take_in(path)
                        sizes[path] = size
                except Exception:  # a thread that died of one file would leave every page standing still
                    _log.exception("%s could not be taken in; trying again", path.name)

    def start(self, target: Target, sweep: Sweep) -> str:
        """Queue a run and return its id.

        Raises:
            UserError: The device, engine, model, picture or a setting cannot be used; nothing is stored then.
        """
        check_engine(target.engine, target.device)
        config = model_shape(target.model)
        for setting in sweep.settings:
            check_setting(setting, config)
        load_picture(sweep.picture)
        spec = RunSpec.new(target, sweep)
        self.jobs.submit(spec)
        self.store.take_in_all()
        return spec.id

    def stop(self, run_id: str) -> None:
        """Ask a run to stop.

        Raises:
            UserError: Another process measures it.
        """
        if not self.jobs.stop(run_id):
            run = self.store.run(run_id)
            if run and run["state"] in ("queued", "running"):
                raise UserError("This run is measured by another process: stop it there.")

    def runs(self, experiment: str | None = None) -> pd.DataFrame:
        """As `Store.runs`, with a `title` that says what each was measured on."""
        runs = self.store.runs(experiment)
        return runs.assign(title=run_titles(runs))

    def run_table(self) -> pd.DataFrame:
        """All runs with what they can be found by: `title`, `title_of_experiment`, `engine`, `dtype`, `clock`."""
        runs = self.runs()
        environments = [json.loads(text) if isinstance(text, str) else {} for text in runs["environment"]]
        found = {name: [each.get(name) for each in environments] for name in ("engine", "dtype", "clock")}
        return runs.assign(title_of_experiment=runs["experiment"].map(experiment_title), **found)

    def import_file(self, data: bytes, name: str) -> Import:
        """Take in a file that a person gives.

        Raises:
            FormatError: It is no file this project reads, or too large; nothing is stored then.
        """
        if len(data) > LARGEST_UPLOAD:
            raise FormatError(
                f"{name} has {len(data) / 1e6:,.0f} MB: at most {LARGEST_UPLOAD / 1e6:,.0f} are taken in."
            )
        imported = read_import(data, name, self.store.spools)
        write_import(imported, self.store.spools)
        self.store.take_in_all()
        return imported

    def keep_picture(self, data: bytes, name: str) -> Picture:
        """Keep a person's picture beside the database, under a name that follows from its content.

        Raises:
            ImageError: It is no picture that can be used; nothing is kept then.
        """
        open_picture(io.BytesIO(data), name)
        path = self.store.path.parent / "pictures" / hashlib.sha256(data).hexdigest()[:16]
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return Picture("file", str(path))

    def rename(self, run_id: str, name: str) -> None:
        """Give a run a name; an empty one takes it back.

        Raises:
            UserError: The name is too long.
        """
        self.store.rename(run_id, name)

    def remove(self, run_id: str) -> None:
        """Delete a run and its samples.

        Raises:
            UserError: It is still being measured.
        """
        run = self.store.run(run_id)
        if run is None:
            return
        if not State(run["state"]).ended:
            raise UserError("This run has not ended: stop it first.")
        self.store.remove(run_id)

    def start_motivation(
        self, target: Target, name: str, data_set: DataSet, **options: Any
    ) -> tuple[list[str], QuerySet]:
        """Queue a Motivation experiment and return its run ids, and what was found of the data set.

        Args:
            target: What to measure on.
            name: The experiment; a derived one queues those that it is derived from.
            data_set: The pictures and questions.
            options: As `motivation.plan_all`.

        Raises:
            UserError: The data set or a value cannot be used; nothing is stored then.
        """
        check_engine(target.engine, target.device)
        config = model_shape(target.model)
        queries = read_data_set(replace(data_set, one_question_each=asks_each_picture_once(name)))
        options = {"num_pictures": data_set.limit, **options}
        specs = [RunSpec.new(target, sweep) for sweep in plan_all(name, queries, config, **options)]
        for spec in specs:
            self.jobs.submit(spec)
        self.store.take_in_all()
        return [spec.id for spec in specs], queries
