"""`run --resume`: what is left of a run that was stopped, killed or failed."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from profcore.cli.common import database_of, default_device
from profcore.cli.progress import measure
from profcore.cli.report import report_run
from profcore.cli.shard import report_shard
from profcore.cli.values import make_output_directory, shortened
from profcore.errors import RunHeldError, UserError
from profcore.spec.begun import begun_of, differences
from profcore.spec.runs import is_run_id
from profcore.spec.stages import State
from profcore.storage.lines import each_record
from profcore.storage.spool import (
    RunHold,
    SpoolWriter,
    is_being_written,
    last_state,
    read_spec,
    spool_path,
)

if TYPE_CHECKING:
    from pathlib import Path

    from profcore.spec.runs import RunSpec


def resume(options: argparse.Namespace) -> int:
    """Go on with a run where it was, and report it as a whole."""
    if options.experiment is not None:
        raise UserError("Give either an experiment or --resume RUN: a run goes on with what it was asked for.")
    make_output_directory(options.output_dir)
    path = _find(options)
    # Held first, so that nobody else goes on with it, and nobody takes it for abandoned, while the model is loaded.
    with RunHold(path):
        spec = _spec(path, options)
        check_machine(path, spec)
        from profcore.worker.shelf import ModelShelf

        shelf = ModelShelf()
        shelf.engine(spec.target)
        with SpoolWriter(path) as writer:
            writer.owner("command")
            writer.state(State.QUEUED)
            state = measure(spec, writer, shelf)
    code = (report_shard if spec.shard else report_run)(options, spec, path, state)
    return 130 if state is State.STOPPED else code


def _find(options: argparse.Namespace) -> Path:
    """The spool of the run that is named.

    Raises:
        UserError: There is none, or it is done or still measured.
    """
    if options.spool_only:
        path = spool_path(options.spool_only, options.resume)
    else:
        from profcore.cli.reading import reading
        from profcore.results.named import find_run
        from profcore.storage.store import spool_directory

        folder = spool_directory(database_of(options))
        path = spool_path(folder, options.resume)
        if not is_run_id(options.resume) or not path.is_file():
            with reading(options) as store:
                run_id = find_run(store, options.resume)
                left = [part["spool"] for part in store.parts(run_id) if part["state"] != State.DONE]
            if left:
                raise UserError(
                    f"Run {run_id} was measured in shards: resume each that is not done by itself, such as {left[0]}."
                )
            path = spool_path(folder, run_id)
    if path.is_file() and is_being_written(path):
        raise RunHeldError(f"Run {path.stem} is being measured by another process.")
    if not path.is_file():
        raise UserError(f"Run {shortened(options.resume)!r} cannot go on: there is no spool {path}.")
    return path


def _spec(path: Path, options: argparse.Namespace) -> RunSpec:
    """The run as it was asked for, on the device that is to go on with it."""
    spec = read_spec(path)
    if last_state(path) is State.DONE:
        raise UserError(f"Run {spec.id} is done: it has every sample that was asked for.")
    device = spec.target.device if options.device is None else default_device(options.device)
    return replace(spec, target=replace(spec.target, device=device))


def check_machine(path: Path, spec: RunSpec) -> None:
    """Whether the run was begun on what gives the same figures.

    Raises:
        UserError: It was not; what differs is named, and nothing is written.
    """
    from profcore.measure.environment import machine_of
    from profcore.models.load import resolve_device
    from profcore.spec.runs import sweep_settings

    begun = begun_of(each_record(path), len(sweep_settings(spec.sweep)))
    differ = differences(begun.environment or {}, machine_of(resolve_device(spec.target.device)))
    if differ:
        raise UserError(
            f"Run {spec.id} cannot go on here, since what it was measured on differs: {', '.join(differ)}. "
            "Measure it anew, or where it was."
        )
