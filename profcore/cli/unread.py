"""`unread`: the files of the spool folder that cannot be read, and the runs of which lines were left out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.options import add_database, add_json
from profcore.cli.reading import reading
from profcore.cli.runs import run_line
from profcore.spec.text import counted

if TYPE_CHECKING:
    import argparse


def register(commands: Commands) -> None:
    """Add `unread`."""
    parser = add_command(
        commands, "unread", "list what the spool folder holds and cannot be read, with the reasons", ""
    )
    add_database(parser)
    add_json(parser)
    parser.set_defaults(command=unread)


def unread(options: argparse.Namespace) -> int:
    """Print what could not be read."""
    with reading(options) as store:
        files, lines, folder = store.unread_files(), store.left_out(), store.spools
        runs = {run["id"]: run_line(run) for run in store.run_list().to_dict("records")} if lines else {}
    if options.json:
        print(
            json.dumps({"folder": str(folder), "files": files, "left_out_lines": lines}, indent=2, ensure_ascii=False)
        )
        return 0
    for name, reason in files.items():
        print(reason if reason.startswith(name) else f"{name}: {reason}")
    for run_id, number in lines.items():
        run = runs[run_id]
        named = ", ".join(run[key] for key in ("time (UTC)", "experiment", "engine") if run[key])
        print(f"{run_id} ({named}): {counted(number, 'line')} of its spool left out.")
    if not files and not lines:
        print(f"Everything in {folder} could be read.")
    return 0
