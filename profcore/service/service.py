"""What the dashboard asks: the one owner of the store, the jobs and the thread that takes spools in."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore import formats
from profcore.comparisons.side_by_side import Group, SideBySide, find_groups, load_side_by_side
from profcore.data_sets import DataSet, read_data_set
from profcore.engines.names import check_engine
from profcore.errors import FormatError, UserError
from profcore.experiments.knobs import CATALOGUE
from profcore.experiments.motivation import MOTIVATION, experiment_title, plan_all
from profcore.export import archive
from profcore.formats.imports import Import, read_import, write_import
from profcore.images.pictures import load_picture, open_picture
from profcore.models.config import model_shape
from profcore.models.knobs import check_setting
from profcore.paths import SHIPPED
from profcore.results.base import run_titles
from profcore.results.pictures import PictureResult, load_picture_result
from profcore.results.sweep import Result, load_result
from profcore.spec.queries import Picture
from profcore.spec.runs import RunSpec, Sweep, Target
from profcore.spec.stages import State
from profcore.storage.store import Store
from profcore.worker.answers import read_answer
from profcore.worker.profiles import ProfileKey, find_profile, profile_path, trace_path
from profcore.worker.queue import Jobs, Question

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from profcore.results.base import MeasuredRun
    from profcore.spec.queries import QuerySet

LARGEST_UPLOAD = 200_000_000
"""Bytes of a file that is taken in at once; a longer spool is one for the command line."""

_INTAKE_INTERVAL_S = 0.1
_LONGEST_NAME = 120
_log = logging.getLogger(__name__)


class Service:
    """One for each process and database; its methods may be called from any thread."""

    def __init__(self, database: Path) -> None:
        """Open the database, take in what is there, and start the first worker.

        Raises:
            StoreError: The database cannot be used, or another process holds it.
        """
        self.store = Store(database)
        self.store.take_in_shipped()
        self.jobs = Jobs(self.store.spools)
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
                        self.store.take_in(path)
                        sizes[path] = size
                except FormatError as error:
                    _log.warning("%s", error)
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

    def latest(self, experiment: str) -> str | None:
        """As `Store.latest`."""
        return self.store.latest(experiment)

    def result(self, run_id: str) -> Result | None:
        """As `load_result`."""
        return load_result(self.store, run_id)

    def decode_steps(self, run_id: str) -> pd.DataFrame:
        """As `Store.decode_steps`."""
        return self.store.decode_steps(run_id)

    def engine_groups(self, experiment: str) -> list[Group]:
        """As `find_groups`."""
        return find_groups(self.store, experiment)

    def side_by_side(self, experiment: str, group: Group) -> SideBySide:
        """As `load_side_by_side`."""
        return load_side_by_side(self.store, experiment, group)

    def profile(self, key: ProfileKey) -> dict[str, Any] | None:
        """A profile, as far as it is (see `profcore.worker.answers`); None where nobody makes or made one."""
        found = find_profile(self._profiles, key)
        if found and found["state"] in ("queued", "working") and not self.jobs.asked(key.name):
            # Left behind by a process that is gone.
            return None
        return found

    def start_profile(self, key: ProfileKey) -> None:
        """Have a setting of a run profiled on a target, when its worker is free.

        Raises:
            UserError: The device, the model or the setting cannot be used.
        """
        run = self.store.run(key.run_id)
        if run is None or not run["spec"]:
            raise UserError("This run says nothing of how it was measured, so it cannot be profiled.")
        sweep = Sweep.from_dict(run["spec"]["sweep"])
        setting = sweep.settings[key.setting]
        check_engine(key.target.engine, key.target.device)
        check_setting(setting, model_shape(key.target.model))
        arguments = {
            "setting": setting.to_dict(),
            "picture": sweep.picture.to_dict(),
            "prompt": sweep.prompt,
            "trace": str(trace_path(self._profiles, key)),
        }
        answer = profile_path(self._profiles, key)
        self.jobs.ask(Question(key.name, "profile", key.target, arguments, answer))

    def profile_trace(self, key: ProfileKey) -> Path | None:
        """The file of a profile's trace, where there is one."""
        for directory in (self._profiles, SHIPPED / "profiles"):
            if (path := trace_path(directory, key)).exists():
                return path
        return None

    # Inspection

    def ask_inspection(self, target: Target, arguments: dict[str, Any]) -> str:
        """Have a tool look at a target's model when its worker is free; returns what `inspection` asks for.

        Args:
            target: What to look at.
            arguments: `name` (of `inspectors.names.INSPECTORS`, or 'importance'), and what that tool takes.

        Raises:
            UserError: The device or the model cannot be used.
        """
        check_engine(target.engine, target.device)
        model_shape(target.model)
        key = inspection_key(target, arguments)
        self.jobs.ask(Question(key, "inspect", target, arguments, self._inspections / f"{key}.json"))
        return key

    def inspection(self, key: str) -> dict[str, Any] | None:
        """An inspection's answer, as far as it is (see `profcore.worker.answers`); None where nobody asked."""
        found = read_answer(self._inspections / f"{key}.json")
        if found and found["state"] in ("queued", "working") and not self.jobs.asked(key):
            # Left behind by a process that is gone.
            return None
        return found

    @property
    def _inspections(self) -> Path:
        return self.store.path.parent / "inspections"

    @property
    def _profiles(self) -> Path:
        return self.store.path.parent / "profiles"

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

    def result_name(self, result: MeasuredRun) -> str:
        """What a run's result file is called."""
        name = result.run["experiment"]
        return CATALOGUE[name].file if name in CATALOGUE else MOTIVATION[name].file

    def result_json(self, result: MeasuredRun) -> str:
        """A run in the published format of its experiment."""
        return next(iter(archive.run_result_files(self.store, result).values()))

    def samples_csv(self, result: MeasuredRun) -> str:
        """A run's samples as CSV."""
        return formats.samples_csv(self.store.sample_table(result.run["id"]))

    def samples_parquet(self, result: MeasuredRun) -> bytes:
        """A run's samples as Parquet."""
        return formats.samples_parquet(self.store.sample_table(result.run["id"]), result.metadata)

    def run_zip(self, run_id: str) -> bytes:
        """A run's result files, samples and figures as a zip."""
        return archive.zip_runs(self.store, [run_id])

    def all_zip(self, tell: Callable[[int], None]) -> bytes:
        """Every run that has ended, as a zip; `tell` is told how many are done."""
        return archive.zip_runs(self.store, self.ended_runs(), tell)

    def ended_runs(self) -> list[str]:
        """The ids of the runs that have ended."""
        runs = self.store.runs()
        return [run_id for run_id, state in zip(runs["id"], runs["state"], strict=True) if State(state).ended]

    def snapshot(self) -> bytes:
        """The whole database as a file's content, copied while it is in use."""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "profcore.duckdb"
            self.store.connection.snapshot(path)
            return path.read_bytes()

    def rename(self, run_id: str, name: str) -> None:
        """Give a run a name; an empty one takes it back.

        Raises:
            UserError: The name is too long.
        """
        if len(name.strip()) > _LONGEST_NAME:
            raise UserError(f"A name of {len(name.strip())} letters is too long: at most {_LONGEST_NAME}.")
        self.store.rename(run_id, name.strip() or None)

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

    # Motivation

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
        queries = read_data_set(data_set)
        specs = [RunSpec.new(target, sweep) for sweep in plan_all(name, queries, config, **options)]
        for spec in specs:
            self.jobs.submit(spec)
        self.store.take_in_all()
        return [spec.id for spec in specs], queries

    def picture_result(self, run_id: str) -> PictureResult | None:
        """As `load_picture_result`."""
        return load_picture_result(self.store, run_id)

    def measured_run(self, run_id: str) -> Result | PictureResult | None:
        """A run of either kind."""
        return archive.load_run(self.store, run_id)


def inspection_key(target: Target, arguments: dict[str, Any]) -> str:
    """What names an inspection: the same question of the same target has the same."""
    text = json.dumps([target.to_dict(), arguments], sort_keys=True)
    return f"{arguments['name']}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
