"""What the dashboard asks: the one owner of the store, the jobs and the thread that takes spools in."""

from __future__ import annotations

import io
import math
import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.comparisons.between import load_series, spreads_of
from profcore.data_sets import DataSet, read_data_set
from profcore.data_sets.files import PICTURE_ENDINGS
from profcore.engines.names import check_engine
from profcore.errors import FormatError, ImageError, UserError
from profcore.experiments.motivation import asks_each_picture_once, experiment_title, plan_all, sampled_until
from profcore.formats.imports import Import, reading_data, write_imports
from profcore.images.pictures import load_picture, open_picture
from profcore.models.config import check_model_path, model_shape
from profcore.models.context import check_sweep
from profcore.models.families.versions import check_version
from profcore.paths import ANYWHERE, Roots
from profcore.results.base import run_titles
from profcore.roofline.cache_memory import check_cache
from profcore.service.busy import Busy
from profcore.service.campaigns import Campaigns
from profcore.service.downloads import Downloads
from profcore.service.durations import Durations
from profcore.service.intake import Intake
from profcore.service.keeper import Keeper
from profcore.service.kept_pictures import keep
from profcore.service.key_figures import KeyFigures
from profcore.service.own_pictures import LARGEST_BYTES, Asked, check_asked, own_data_set, questions_file
from profcore.service.questions import Questions, check_pictures
from profcore.service.results import Results
from profcore.service.resuming import resumable, resume
from profcore.service.shared import Shared
from profcore.service.under_way import UnderWay, runs_under_way
from profcore.service.words import unread_line
from profcore.spec.marks import parted
from profcore.spec.queries import Picture
from profcore.spec.runs import RunSpec, Sweep, Target
from profcore.spec.shards import largest_share, run_id_of, spread_over
from profcore.spec.stages import State
from profcore.storage.ask import Questioner
from profcore.storage.rebuild import rebuild, rebuild_open
from profcore.storage.space import no_space_said, space_note
from profcore.storage.spool import end_abandoned, spool_path
from profcore.storage.store import Store
from profcore.worker.link import WORKER
from profcore.worker.queue import Jobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pandas as pd

    from profcore.comparisons.between import Series, Spreads
    from profcore.spec.queries import QuerySet

LARGEST_UPLOAD = 200_000_000
"""Bytes of a file that is taken in at once; a longer spool is one for the command line."""

LARGEST_UNPACKED = 4_000_000_000
"""Bytes that an uploaded zip may unpack to: a full campaign twice over."""

# For how long a list of what is under way serves all who look.
_UNDER_WAY_S = 1.0


class Service:
    """One for each process and database; its methods may be called from any thread.

    Attributes:
        store: What is kept.
        intake: What takes spools in as they grow.
        jobs: The queues of runs and questions, and the workers.
        questions: What workers' tools are asked: profiles and inspections.
        downloads: What may be taken away.
        roots: What pages may open.
        sql: Answers queries in SQL over what is kept.
        shared: What follows from what is kept, worked out once for all sessions.
        results: Runs as pages show them, and what follows from them.
        campaigns: How far the shards of submitted runs are.
    """

    def __init__(self, database: Path, roots: Roots = ANYWHERE, worker: Sequence[str] = WORKER) -> None:
        """Open the database, take in what is there, and start the first worker.

        Args:
            database: Where it is, or is made.
            roots: What pages may open by a name that a person or a link gives.
            worker: What is started as a worker.

        Raises:
            StoreError: The database cannot be used, or another process holds it.
            UserError: The limit of a worker without a sign is none.
        """
        self.store = Store(database)
        # What is kept beside the database is a page's to open.
        kept = (os.path.realpath(database.parent / "pictures"),)
        self.roots = roots if roots.folders is None else Roots((*roots.folders, *kept))
        try:
            self.jobs = Jobs(self.store.spools, worker)
        except BaseException:
            self.store.close()
            raise
        self.intake = Intake(self.store)
        self.questions = Questions(self.store, self.jobs, self.roots)
        self.sql = Questioner(self.store)
        self.shared = Shared(lambda: self.store.connection.changes)
        self.results = Results(self.store, self.runs)
        self.downloads = Downloads(self.store, self.results)
        self._durations = Durations(self.store, self.shared, self.results)
        self._figures = KeyFigures(self.store)
        self._busy = Busy(self.jobs)
        self.campaigns = Campaigns(self.store)
        self._stopping: set[str] = set()
        self._closed = False
        self.intake.look(everything=True)
        # What is in the store by now and nobody measures any more is ended before a page can say that it runs.
        self._keeper = Keeper(self.store)
        self.intake.start()

    def close(self) -> None:
        """Stop every run, end the workers and close the database; once is enough."""
        if self._closed:
            return
        self._closed = True
        self.jobs.close()
        self._keeper.close()
        self.intake.close()
        self.campaigns.close()
        self.downloads.close()
        self.shared.close()
        self.results.close()
        self.sql.close()
        self.store.close()

    def notices(self) -> list[str]:
        """What a person should know of what was not taken in; usually nothing."""
        problem = [f"Nothing is taken in at the moment. {self.intake.problem}"] if self.intake.problem else []
        left_out = self.store.left_out()
        unread = unread_line(self.store.unread_files(), sum(left_out.values()), len(left_out))
        return [*problem, *([unread] if unread else [])]

    def space_note(self, sweeps: Iterable[Sweep]) -> str:
        """A sentence where little space is left for what sweeps would write; empty where there is enough."""
        return space_note(self.store.spools, sweeps)

    def busy_notes(self, device: str) -> list[str]:
        """What to know of a device and its host before measuring there; nothing while a run of ours is under way."""
        return [] if self.under_way() else self._busy.notes(device)

    def rebuild(self) -> None:
        """Make a new database from the spools in place of one that is damaged or gone.

        Raises:
            StoreError: It cannot be written.
        """
        rebuild_open(self.store)

    def start(self, target: Target, sweep: Sweep, devices: Sequence[str] = ()) -> str:
        """Queue a run and return its id.

        Args:
            target: What to measure on.
            sweep: What to measure.
            devices: Several that share it, each a part; the target's alone unless given.

        Raises:
            UserError: The device, engine, model, picture or a setting cannot be used; nothing is stored then.
        """
        check_engine(target.engine, target.device)
        check_model_path(target.model, self.roots)
        check_pictures(sweep, self.roots)
        config = model_shape(target.model)
        check_version(config)
        check_sweep(sweep, config, target.model)
        check_cache(sweep, config, target, self._memory_of(target.device))
        load_picture(sweep.picture)
        return self._submit(spread_over(target, sweep, devices or (target.device,)))

    def _memory_of(self, device: str) -> int | None:
        """All of a device's memory, where it was looked at already."""
        return next((each.get("memory_bytes") for each in self.jobs.seen().devices if each["id"] == device), None)

    def _submit(self, specs: Sequence[RunSpec]) -> str:
        """Queue a run, or all parts of one, and give its id."""
        for spec in specs:
            self.jobs.check_device(spec.target)
        with _writing(self.store.spools):
            for place, spec in enumerate(specs):
                try:
                    self.jobs.submit(spec)
                except BaseException:
                    # A run that lacks a part would never be done.
                    for before in specs[:place]:
                        self.jobs.stop(before.id)
                    raise
        self.intake.look()
        return run_id_of(specs[0])

    def stop(self, run_id: str) -> None:
        """Ask a run to stop; one that nobody measures here is ended.

        Raises:
            UserError: Another process measures it.
        """
        self._stopping.add(run_id)
        spools = self.store.spools_of(run_id)
        # All of them, whatever becomes of one.
        left = [spool for spool in spools if not self.jobs.stop(spool)]
        if len(left) == len(spools):
            self._stopping.discard(run_id)
        for spool in left:
            self._end_elsewhere(run_id, spool)

    def _end_elsewhere(self, run_id: str, spool: str) -> None:
        """End a run, or a part of one, that nobody measures here.

        Raises:
            UserError: Another process measures it.
        """
        run = self.store.run(run_id)
        parts = {part["spool"]: part["state"] for part in run["parts"]} if run else {}
        if run and parts.get(spool, run["state"]) in ("queued", "running"):
            path = spool_path(self.store.spools, spool)
            try:
                ended = end_abandoned(path, "Stopped: nobody measured it here any more.")
            except OSError as error:
                raise UserError(f"This run cannot be stopped here: {error.strerror} ({path.name}).") from None
            if not ended:
                raise UserError("This run is measured by another process: stop it there.")

    def position(self, run_id: str) -> int | None:
        """How many tasks a run waits for, by the part of it that waits for fewest; None where none of it waits."""
        found = [self.jobs.position(spool) for spool in self.store.spools_of(run_id)]
        return min((each for each in found if each is not None), default=None)

    def no_sign_s(self, run_id: str) -> float | None:
        """As `Jobs.no_sign_s`, of the part of a run that has been quiet for longest."""
        found = [self.jobs.no_sign_s(spool) for spool in self.store.spools_of(run_id)]
        return max((each for each in found if each is not None), default=None)

    def give_up(self, run_id: str) -> bool:
        """End the workers that are at a run and give no sign; whether there was one."""
        quiet = [spool for spool in self.store.spools_of(run_id) if self.jobs.no_sign_s(spool) is not None]
        return sum(self.jobs.give_up(spool) for spool in quiet) > 0

    def is_stopping(self, run_id: str) -> bool:
        """Whether a run was asked to stop; it ends after the step that it is at."""
        return run_id in self._stopping

    def under_way(self) -> list[UnderWay]:
        """Every run that waits or is measured, whoever asked for it."""
        return self.shared.get(("under way",), lambda: runs_under_way(self.store), _UNDER_WAY_S)

    def estimate_s(self, target: Target, sweep: Sweep, devices: Sequence[str] = ()) -> float | None:
        """About how many seconds a sweep takes, from earlier runs on the same; None where nothing alike was measured.

        Args:
            target: What to measure on.
            sweep: What to measure.
            devices: Several that share it.

        Raises:
            UserError: The worker that names the devices did not come up.
        """
        machines = {device["id"]: device["machine"] for device in self.jobs.seen().devices}
        device = machines.get(target.device, {}).get("device_name")
        if device is None:
            return None
        alone = self._durations.seconds(device, target, sweep)
        return alone if alone is None or len(devices) < 2 else alone * largest_share(target, sweep, devices)

    def series(self) -> list[Series]:
        """Every series of runs that measured the same in processes of their own, and how far these differ."""
        ids = tuple(self.store.series()["id"])
        # What is done does not change: only another series is worked out anew.
        return self.shared.get(("series", ids), lambda: load_series(self.store), math.inf) if ids else []

    def spreads(self) -> Spreads:
        """How far processes differ in each latency, by what they measured on."""
        return spreads_of(self.series())

    def resume(self, run_id: str) -> None:
        """Queue what is left of a run that was stopped or failed, to be measured on what it was measured on.

        Raises:
            UserError: It cannot go on; nothing is changed then.
        """
        run = resumable(self.store, run_id)
        # A spool may come from anywhere: what it names is opened only where a page may open it.
        spec = RunSpec.from_dict(run["spec"])
        check_model_path(spec.target.model, self.roots)
        check_pictures(spec.sweep, self.roots)
        self._stopping.discard(run_id)
        resume(self.store, self.jobs, run_id)
        self.store.take_in_all()

    def runs(self, experiment: str | None = None) -> pd.DataFrame:
        """As `Reader.run_list`, with a `title` that says what each was measured on, and `title_of_experiment`."""

        def make() -> pd.DataFrame:
            runs = self.store.run_list(experiment)
            titles = {name: experiment_title(name) for name in runs["experiment"].unique()}
            return runs.assign(title=run_titles(runs), title_of_experiment=runs["experiment"].map(titles))

        return self.shared.get(("runs", experiment), make).copy(deep=False)

    def runs_with_figures(self) -> pd.DataFrame:
        """As `runs`, with the key figures of each (see `KeyFigures`)."""
        return self.shared.get(("figures",), lambda: self._figures.add_to(self.runs())).copy(deep=False)

    def latest(self, experiment: str) -> str | None:
        """As `Reader.latest`."""
        return self.shared.get(("latest", experiment), lambda: self.store.latest(experiment))

    def import_file(self, data: bytes, name: str) -> list[Import]:
        """Take in a file that a person gives, and give each run that it holds: a zip may hold several.

        Raises:
            FormatError: It is no file this project reads, or too large; nothing is stored then.
        """
        if len(data) > LARGEST_UPLOAD:
            raise FormatError(
                f"{name} has {len(data) / 1e6:,.0f} MB: at most {LARGEST_UPLOAD / 1e6:,.0f} are taken in."
            )
        with _writing(self.store.spools), reading_data(data, name, self.store.spools, LARGEST_UNPACKED) as imported:
            write_imports(imported, self.store.spools)
        self.intake.look()
        return imported

    def keep_picture(self, data: bytes, name: str, named: bool = False) -> Picture:
        """Keep a person's picture beside the database, under a name that follows from its content.

        Args:
            data: The picture.
            name: What its file was called.
            named: Whether its name here ends as a picture's does, so that it is one of a folder of pictures.

        Raises:
            ImageError: It is no picture that can be used, or too large for one of a folder; nothing is kept then.
        """
        # The page says so as well, but asks the browser to see to it.
        if named and len(data) > LARGEST_BYTES:
            raise ImageError(f"{name} has {len(data) / 1e6:,.0f} MB: a picture may have {LARGEST_BYTES / 1e6:,.0f}.")
        open_picture(io.BytesIO(data), name)
        return Picture("file", str(self._keep(data, PICTURE_ENDINGS[0] if named else "")))

    def keep_own_pictures(self, asked: Sequence[Asked]) -> DataSet:
        """Keep the questions put to a person's own pictures, and give them as a data set.

        Raises:
            UserError: There are too many, or a question is missing.
        """
        check_asked(asked)
        questions = self._keep(questions_file(asked), ".jsonl")
        return own_data_set(questions.parent, questions, self.roots.folders)

    def _keep(self, data: bytes, ending: str) -> Path:
        """Keep what a person gave, beside the database."""
        folder = self.store.path.parent / "pictures"
        with _writing(folder):
            return keep(folder.absolute(), data, ending=ending)

    def rename(self, run_id: str, name: str) -> None:
        """Give a run a name; an empty one takes it back.

        Raises:
            UserError: The name is too long.
        """
        self.store.rename(run_id, name)

    def mark(self, run_ids: Iterable[str], **changes: Any) -> None:
        """Change what is noted of runs, as `Store.mark` does of one.

        Raises:
            UserError: A text is too long, or tags are too many.
        """
        for run_id in run_ids:
            self.store.mark(run_id, **changes)

    def add_tags(self, run_ids: Iterable[str], tags: Sequence[str]) -> None:
        """Give runs tags beside those that they have.

        Raises:
            UserError: A tag is too long, or they are too many.
        """
        for run_id in run_ids:
            run = self.store.run(run_id)
            if run:
                self.store.mark(run_id, tags=[*parted(run["tags"]), *tags])

    def baselines(self) -> pd.DataFrame:
        """As `Reader.baselines`."""
        return self.shared.get(("baselines",), self.store.baselines)

    def set_baseline(self, name: str, run_id: str) -> None:
        """As `Store.set_baseline`, of a run that has ended and has samples.

        Raises:
            UserError: It has not, there is no such run, or the name is none.
        """
        run = self.store.run(run_id)
        if run and not (State(run["state"]).ended and run["num_samples"]):
            raise UserError("This run has no samples yet, or has not ended: choose another to hold to.")
        self.store.set_baseline(name, run_id)

    def remove_baseline(self, name: str) -> None:
        """As `Store.remove_baseline`."""
        self.store.remove_baseline(name)

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
        self, target: Target, name: str, data_set: DataSet, devices: Sequence[str] = (), **options: Any
    ) -> tuple[list[str], QuerySet]:
        """Queue a Motivation experiment and return its run ids, and what was found of the data set.

        Args:
            target: What to measure on.
            name: The experiment; a derived one queues those that it is derived from.
            data_set: The pictures and questions.
            devices: As `start`.
            options: As `motivation.plan_all`, and `until`: how precise each picture's median is to be.

        Raises:
            UserError: The data set or a value cannot be used; nothing is stored then.
        """
        check_engine(target.engine, target.device)
        check_model_path(target.model, self.roots)
        config = model_shape(target.model)
        queries = read_data_set(
            replace(data_set, within=self.roots.folders, one_question_each=asks_each_picture_once(name))
        )
        until, options = options.pop("until", None), {"num_pictures": data_set.limit, **options}
        sweeps = plan_all(name, queries, config, **options)
        if until:
            sweeps = [sampled_until(sweep, until, sweep.num_samples) for sweep in sweeps]
        return [self._submit(spread_over(target, sweep, devices or (target.device,))) for sweep in sweeps], queries


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Within it, a folder that cannot be written is a sentence for a person.

    Raises:
        UserError: There is no space, or no permission.
    """
    try:
        with no_space_said(folder):
            yield
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}.") from None


def rebuild_closed(database: Path) -> None:
    """As `Service.rebuild`, of a database that no service could open.

    Raises:
        UserError: Another process holds it, it cannot be written, or there are no spools.
    """
    rebuild(database)
