"""Questions to a worker's tools: profiles of single settings, and inspections of the model it holds."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from profcore.engines.names import check_engine
from profcore.errors import UserError
from profcore.inspectors.names import check_known
from profcore.models.config import check_model_path, model_shape
from profcore.models.context import check_asked_of
from profcore.models.knobs import check_profiled
from profcore.paths import ANYWHERE, SHIPPED, Roots
from profcore.spec.queries import Picture
from profcore.spec.runs import Sweep
from profcore.worker.answers import read_answer
from profcore.worker.profiles import ProfileKey, find_profile, profile_path, trace_path
from profcore.worker.queue import Jobs, Question

if TYPE_CHECKING:
    from pathlib import Path

    from profcore.models.families.shape import FamilyShape
    from profcore.spec.runs import Target
    from profcore.storage.store import Store


class Questions:
    """Asks workers, and finds what they answered."""

    def __init__(self, store: Store, jobs: Jobs, roots: Roots = ANYWHERE) -> None:
        self._store, self._jobs, self._roots = store, jobs, roots
        self._profiles = store.path.parent / "profiles"
        self._inspections = store.path.parent / "inspections"

    def profile(self, key: ProfileKey) -> dict[str, Any] | None:
        """A profile, as far as it is (see `profcore.worker.answers`); None where nobody makes or made one."""
        found = find_profile(self._profiles, key)
        if found and found["state"] in ("queued", "working") and not self._jobs.asked(key.name):
            # Left behind by a process that is gone.
            return None
        return found

    def profiled_runs(self) -> set[str]:
        """The runs of which some setting was, or is being, profiled; known from names of files, of which none is read.

        A file is named after its run, its setting and what tells its target (see `ProfileKey`).
        """
        folders = (self._profiles, SHIPPED / "profiles")
        return {path.stem.rsplit("-", 2)[0] for folder in folders for path in folder.glob("*-*-*.json")}

    def start_profile(self, key: ProfileKey) -> None:
        """Have a setting of a run profiled on a target, when its worker is free.

        Raises:
            UserError: The device, the model or the setting cannot be used.
        """
        run = self._store.run(key.run_id)
        if run is None or not run["spec"]:
            raise UserError("This run says nothing of how it was measured, so it cannot be profiled.")
        sweep = Sweep.from_dict(run["spec"]["sweep"])
        setting = sweep.settings[key.setting]
        check_engine(key.target.engine, key.target.device)
        # A run from elsewhere names what lies there, and may name anything here.
        check_model_path(key.target.model, self._roots)
        check_pictures(sweep, self._roots)
        shape = model_shape(key.target.model)
        check_profiled(shape)
        check_asked_of(setting, sweep.prompt, shape, key.target.model)
        arguments = {
            "setting": setting.to_dict(),
            "picture": sweep.picture.to_dict(),
            "prompt": sweep.prompt,
            "trace": str(trace_path(self._profiles, key)),
        }
        answer = profile_path(self._profiles, key)
        self._jobs.ask(Question(key.name, "profile", key.target, arguments, answer))

    def profile_trace(self, key: ProfileKey) -> Path | None:
        """The file of a profile's trace, where there is one."""
        for directory in (self._profiles, SHIPPED / "profiles"):
            if (path := trace_path(directory, key)).exists():
                return path
        return None

    def ask_inspection(self, target: Target, arguments: dict[str, Any]) -> str:
        """Have a tool look at a target's model when its worker is free; returns what `inspection` asks for.

        Args:
            target: What to look at.
            arguments: `name` (of `inspectors.names.INSPECTORS`, or 'importance'), and what that tool takes.

        Raises:
            UserError: The device or the model cannot be used.
        """
        check_engine(target.engine, target.device)
        check_model_path(target.model, self._roots)
        if picture := arguments.get("picture"):
            check_picture(Picture(**picture), self._roots)
        if expected := arguments.get("expected"):
            self._roots.path(expected)
        check_known(arguments["name"], model_shape(target.model))
        key = inspection_key(target, arguments)
        self._jobs.ask(Question(key, "inspect", target, arguments, self._inspections / f"{key}.json"))
        return key

    def parameters(self, target: Target, shape: FamilyShape) -> dict[str, Any]:
        """How many parameters a model without a name has, as far as that is counted; whoever asks first has it counted.

        Args:
            target: The model, and the device whose worker counts.
            shape: The model's; another configuration in its place is counted anew.

        Returns:
            As `profcore.worker.answers` has it; once done, `result` is as `FamilyParameters.from_dict` takes it.

        Raises:
            UserError: The device or the model cannot be used.
        """
        text = json.dumps(dict(shape.config), sort_keys=True)
        key = f"parameters-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        path = self._inspections / f"{key}.json"
        found = read_answer(path)
        if found and (found["state"] == "done" or self._jobs.asked(key)):
            return found
        check_model_path(target.model, self._roots)
        self._jobs.ask(Question(key, "parameters", target, {}, path))
        return read_answer(path) or {"state": "queued", "text": "", "result": None}

    def inspection(self, key: str) -> dict[str, Any] | None:
        """An inspection's answer, as far as it is (see `profcore.worker.answers`); None where nobody asked."""
        found = read_answer(self._inspections / f"{key}.json")
        if found and found["state"] in ("queued", "working") and not self._jobs.asked(key):
            # Left behind by a process that is gone.
            return None
        return found


def check_pictures(sweep: Sweep, roots: Roots) -> None:
    """Whether each picture of a sweep may be opened, which may be one that came from elsewhere.

    Raises:
        UserError: One lies elsewhere.
    """
    for picture in set(sweep.pictures):
        check_picture(picture, roots)


def check_picture(picture: Picture, roots: Roots) -> None:
    """Whether a picture's file may be opened.

    Raises:
        UserError: It lies elsewhere.
    """
    if picture.kind in ("file", "row"):
        roots.path(picture.value if picture.kind == "file" else picture.value.rsplit("|", 2)[0])


def inspection_key(target: Target, arguments: dict[str, Any]) -> str:
    """What names an inspection: the same question of the same target has the same."""
    text = json.dumps([target.to_dict(), arguments], sort_keys=True)
    return f"{arguments['name']}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
