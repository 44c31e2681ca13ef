"""`repeat`: the same sweep in processes of their own, and how far they differ."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.reading import reading
from profcore.cli.run import add_run_options
from profcore.cli.tables import print_table
from profcore.cli.values import whole_number
from profcore.cli.words import words_of
from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE, get_experiment
from profcore.spec.runs import fresh_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.results.sweep import Result

_OUTPUT = Path("results/repeat")


def register(commands: Commands) -> None:
    """Add `repeat`."""
    parser = add_command(
        commands,
        "repeat",
        "the same sweep in fresh processes, and how far these differ",
        "moe_topk --processes 4 --engine compiled",
        "all --processes 3 --until 1%%",
    )
    parser.add_argument("experiment", choices=[*CATALOGUE, "all"], help="one of the four knobs, or all of them")
    parser.add_argument("--processes", type=whole_number, default=4, metavar="K", help="how many processes (4)")
    add_run_options(parser)
    parser.set_defaults(command=repeat)


def repeat(options: argparse.Namespace) -> int:
    """Measure the same in each of several processes, one after another, and print how far they differ."""
    if not 2 <= options.processes <= 100:
        raise UserError(f"{options.processes} processes cannot be compared: give 2 to 100.")
    series, code = fresh_id(), 0
    for number in range(1, options.processes + 1):
        print(f"Process {number} of {options.processes}, series {series}:", file=sys.stderr)
        ended = _run_apart(_words(options, series, number))
        if ended in (2, 130):
            # Refused, or stopped by a person: the others would be as well.
            return ended
        code = max(code, ended)
    names = list(CATALOGUE) if options.experiment == "all" else [options.experiment]
    for name in names:
        _report(name, _runs_of(options, series, name))
    return code


def _words(options: argparse.Namespace, series: str, number: int) -> list[str]:
    """The command line of one of the processes: `run` with the options that were given."""
    folder = (options.output_dir or _OUTPUT) / series / f"process-{number}"
    given = {**vars(options), "series": series, "output_dir": folder}
    return [options.experiment, *words_of(add_run_options, given)]


def _run_apart(words: Sequence[str]) -> int:
    """Measure in a process of its own; Ctrl-C reaches it by itself, and its end is waited for."""
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        return subprocess.run([sys.executable, "-m", "profcore", "run", *words], check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)


def _runs_of(options: argparse.Namespace, series: str, experiment: str) -> list[Result]:
    """The runs of the series that are done, from where the processes left them."""
    from profcore.results.sweep import load_result

    if options.spool_only:
        return _spooled(options.spool_only, series, experiment)
    with reading(options) as store:
        known = store.series()
        ids = known.loc[(known["series"] == series) & (known["experiment"] == experiment), "id"]
        return [result for run_id in ids if (result := load_result(store, run_id))]


def _spooled(folder: Path, series: str, experiment: str) -> list[Result]:
    from profcore.results.sweep import load_result
    from profcore.spec.stages import State
    from profcore.storage.frames import SpoolReader
    from profcore.storage.spool import last_state, read_spec, spool_files

    found = []
    for path in spool_files(folder):
        # Only those of this series; what else lies there is somebody else's, and may be no spool.
        if series not in path.open(encoding="utf-8", errors="replace").readline(10_000_000):
            continue
        spec = read_spec(path)
        if (spec.series, spec.sweep.experiment, last_state(path)) == (series, experiment, State.DONE):
            result = load_result(SpoolReader(path), spec.id)
            found += [result] if result else []
    return found


def _report(name: str, runs: Sequence[Result]) -> None:
    """Print how far the runs of one experiment differ."""
    from profcore.comparisons.between import between_runs, display_between, quoted

    print(f"{get_experiment(name).title}: {', '.join(each.run['id'] for each in runs) or 'no run is done'}")
    found = between_runs(runs) if len(runs) > 1 else None
    if found is None:
        print("How far processes differ cannot be told: two runs with 6 samples of a setting or more are needed.")
        return
    print_table(display_between(found))
    print_table(display_between(found, "stages"))
    print(quoted(found.stages))
