"""`run --device all`: a run shared by the cards of this machine, each with a worker process and a queue of its own."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from profcore.cli.common import database_of, hand_over
from profcore.cli.report import report_merged
from profcore.cli.shard import DERIVED
from profcore.errors import UserError
from profcore.spec.shards import run_id_of, spread_over, state_of_run
from profcore.spec.stages import State
from profcore.spec.text import counted
from profcore.storage.growing import Growing
from profcore.storage.spool import last_state, spool_path
from profcore.worker.queue import Jobs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from profcore.spec.runs import RunSpec, Sweep, Target

ALL = "all"
_LOOK_S = 0.25
_MOST_DEVICES = 64


def names_several(device: str | None) -> bool:
    """Whether `--device` names more than one."""
    return device is not None and (device == ALL or "," in device)


def check_several(options: argparse.Namespace) -> None:
    """Whether what is asked for can be shared by several devices.

    Raises:
        UserError: It cannot.
    """
    if options.experiment in DERIVED:
        raise UserError(f"{options.experiment} is {DERIVED[options.experiment]}: give --device one alone.")
    if options.shard is not None:
        raise UserError("A part of a run is measured on one device: give --device with --shard one alone.")
    if options.series is not None:
        raise UserError("Processes that are compared measure on one device each: give --device one alone.")
    if options.resume is not None:
        raise UserError("A run goes on on one device: give --device one alone, or leave it out.")


@contextmanager
def workers(options: argparse.Namespace, spools: Path) -> Iterator[tuple[Jobs, list[str]]]:
    """The workers of this machine, and the devices that `--device` names; at the end every worker is ended.

    Raises:
        UserError: There is no such device, or they are not of one kind.
    """
    spools.mkdir(parents=True, exist_ok=True)
    jobs = Jobs(spools, by="command")
    try:
        yield jobs, chosen_devices(options.device, jobs.devices())
    finally:
        jobs.close()


def chosen_devices(given: str, there: Sequence[dict[str, Any]]) -> list[str]:
    """The devices that a text names.

    Args:
        given: 'all' for every card that is like the first, or the CPU where there is none; else names with commas.
        there: As `Jobs.devices`.

    Raises:
        UserError: One is not there, or they are not of one kind, whose figures could not be one run's.
    """
    names = {device["id"]: device["name"] for device in there}
    cards = [device for device in names if device != "cpu"]
    if given == ALL:
        alike = [card for card in cards if names[card] == names[cards[0]]] or ["cpu"]
        for card in cards:
            if card not in alike:
                print(f"{card} ({names[card]}) is left out: it is not like {alike[0]}.", file=sys.stderr)
        return alike
    devices = [{"cuda": "cuda:0"}.get(device.strip(), device.strip()) for device in given.split(",")]
    for device in devices:
        if device not in names:
            raise UserError(f"There is no device {device[:40]!r} here: choose from {', '.join(names)}, or all.")
    if len(devices) > _MOST_DEVICES:
        raise UserError(f"{len(devices)} devices are more than a run is shared by: at most {_MOST_DEVICES}.")
    for device in devices:
        if names[device] != names[devices[0]]:
            raise UserError(
                f"{devices[0]} ({names[devices[0]]}) and {device} ({names[device]}) are not alike, and their figures "
                "are no one run's: measure on each by itself."
            )
    return devices


def measure_on_several(
    options: argparse.Namespace, jobs: Jobs, devices: Sequence[str], target: Target, sweeps: Sequence[Sweep]
) -> int:
    """Measure each sweep on all devices together, under one bar, and report each as one run."""
    runs = [spread_over(target, sweep, devices) for sweep in sweeps]
    specs = [spec for parts in runs for spec in parts]
    with _interrupted() as stopping:
        try:
            for parts in runs:
                seen: Counter[str] = Counter()
                for spec in parts:
                    jobs.submit(spec, lane=seen[spec.target.device])
                    seen[spec.target.device] += 1
            _follow(jobs, specs, stopping, jobs.spools)
        except BaseException:
            for spec in specs:
                jobs.stop(spec.id)
            raise
    code = 0
    for parts in runs:
        code = max(code, _report(options, parts, jobs.spools))
    return 130 if stopping else code


@contextmanager
def _interrupted() -> Iterator[list[int]]:
    """Within it, Ctrl-C is noted rather than raised."""
    stopping: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: stopping.append(number))
    try:
        yield stopping
    finally:
        signal.signal(signal.SIGINT, before)


def _follow(jobs: Jobs, specs: Sequence[RunSpec], stopping: list[int], spools: Path) -> None:
    """Draw how far all are together until each has ended; once it is asked for, all are stopped."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    growing = [Growing(spool_path(spools, spec.id)) for spec in specs]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    told = False
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False) as progress:
        name = " and ".join(dict.fromkeys(spec.sweep.experiment for spec in specs))
        task = progress.add_task(name, total=sum(spec.num_inferences for spec in specs))
        while not all(each.ended for each in growing):
            if stopping and not told:
                told = True
                for spec in specs:
                    jobs.stop(spec.id)
            time.sleep(_LOOK_S)
            for each in growing:
                each.look()
            working = sum(each.state is State.RUNNING for each in growing)
            doing = "stopping" if told else f"{counted(working, 'device')} at work"
            done = sum(each.samples for each in growing)
            progress.update(task, completed=done, description=f"{name}: {doing}")
            progress.refresh()


def _report(options: argparse.Namespace, parts: Sequence[RunSpec], spools: Path) -> int:
    """Have a run taken in as one, and say what it says."""
    run_id, paths = run_id_of(parts[0]), [spool_path(spools, spec.id) for spec in parts]
    states = {number: (last_state(path) or State.FAILED, None) for number, path in enumerate(paths, start=1)}
    state, _ = state_of_run(states, len(parts))
    if options.spool_only:
        print("\n".join(f"Spool: {path}" for path in paths))
    else:
        hand_over(spools, database_of(options))
    report_merged(options, run_id, paths, state)
    return 0 if state is State.DONE else 1
