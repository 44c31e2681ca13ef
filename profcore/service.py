"""What the dashboard asks: the one owner of the store, the jobs and the thread that takes spools in."""

from __future__ import annotations

import hashlib
import io
import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore import formats
from profcore.engines.names import check_engine
from profcore.errors import FormatError, UserError
from profcore.intake import Received, lay_down, recognise
from profcore.jobs import Jobs, Question
from profcore.models.config import PRESETS, MolmoConfig, find_config
from profcore.models.knobs import check_setting
from profcore.models.pictures import load_picture, open_picture
from profcore.models.shards import find_shards
from profcore.paths import SHIPPED
from profcore.profiles import ProfileKey, find_profile, profile_path, trace_path
from profcore.results import Result, load_result, run_titles
from profcore.side_by_side import Group, SideBySide, find_groups, load_side_by_side
from profcore.spec import Picture, RunSpec, State, Sweep, Target
from profcore.store import Store

if TYPE_CHECKING:
    import pandas as pd

_INTAKE_INTERVAL_S = 0.1
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
        """A profile, as far as it is (see `profcore.answers`); None where nobody makes or made one."""
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

    @property
    def _profiles(self) -> Path:
        return self.store.path.parent / "profiles"

    def receive(self, data: bytes, name: str) -> Received:
        """Take in a file that a person gives.

        Raises:
            FormatError: It is no file this project reads; nothing is stored then.
        """
        received = recognise(data, name, self.store.spools)
        lay_down(received, self.store.spools)
        self.store.take_in_all()
        return received

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

    def result_json(self, result: Result) -> str:
        """A run in the published profiling format."""
        samples = self.store.sample_table(result.run["id"]).to_pandas()
        return formats.profiling_json(result.experiment, samples, result.metadata)

    def samples_csv(self, result: Result) -> str:
        """A run's samples as CSV."""
        return formats.samples_csv(self.store.sample_table(result.run["id"]))

    def samples_parquet(self, result: Result) -> bytes:
        """A run's samples as Parquet."""
        return formats.samples_parquet(self.store.sample_table(result.run["id"]), result.metadata)


def model_shape(model: str) -> MolmoConfig:
    """The shape of the model that a page offers knobs for; a hub model's is taken to be MolmoE-1B's.

    Raises:
        ModelError: There is no such model, or its checkpoint directory is incomplete.
    """
    if model in PRESETS:
        return PRESETS[model]
    config = find_config(model)
    if config is None:
        return PRESETS["molmoe-1b"]
    find_shards(Path(model).expanduser())
    return config


def environment_line(environment: dict[str, Any], state: State) -> str:
    """The machine and model of a run in a line."""
    if not environment:
        return "Measured elsewhere; the file does not say on what." if state is State.DONE else "Not begun yet."
    weights = "random weights" if environment.get("weights") == "random" else "real weights"
    parts = [
        environment.get("device_name"),
        f"{environment.get('model')} ({weights})",
        environment.get("dtype"),
        f"{environment.get('engine')} engine, experts: {environment.get('experts')}",
        f"{environment.get('clock')} clock",
        f"torch {environment.get('torch')}",
        f"transformers {environment.get('transformers')}",
    ]
    if environment.get("driver"):
        parts.append(f"driver {environment['driver']}")
    return " · ".join(str(part) for part in parts if part)
