"""`runs`: what the database holds."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.lists import print_list
from profcore.cli.options import add_database, add_json
from profcore.cli.reading import reading
from profcore.spec.marks import parted


def register(commands: Commands) -> None:
    """Add `runs`."""
    parser = add_command(commands, "runs", "list the runs in a database", "--json", "--archived")
    parser.add_argument("--archived", action="store_true", help="those that were archived too")
    add_database(parser)
    add_json(parser)
    parser.set_defaults(command=runs)


def runs(options: argparse.Namespace) -> int:
    """Print the runs of a database."""
    with reading(options) as store:
        listed = store.run_list()
        shown = listed if options.archived else listed[~listed["archived"]]
        found = shown.to_dict("records")
        unread = dict(store.unread)
    for reason in unread.values():
        print(f"Passed over: {reason}", file=sys.stderr)
    if len(shown) < len(listed):
        print(f"{len(listed) - len(shown)} archived not listed: --archived lists them.", file=sys.stderr)
    if options.json:
        print(json.dumps([_row(run) for run in found], indent=2, ensure_ascii=False))
        return 0
    if not found:
        print("The database holds no run.")
        return 0
    print_list([run_line(run) for run in found], _COLUMNS, _FIRST)
    return 0


_COLUMNS = (
    "id",
    "time (UTC)",
    "experiment",
    "engine",
    "state",
    "samples",
    "name",
    "model",
    "weights",
    "dtype",
    "device",
)
_FIRST = ("id", "time (UTC)", "engine", "experiment", "state", "samples", "name", "device", "model", "dtype", "weights")
"""In the order in which they are left out, from the last on, where a terminal is too narrow."""


def run_line(run: dict[Any, Any]) -> dict[str, Any]:
    """A run of `Reader.run_list` as a line of text has it."""
    row = _row(run)
    left_out = row["num_set_aside"]
    return row | {
        "time (UTC)": f"{run['created_at']:%Y-%m-%d %H:%M}",
        "samples": f"{row['num_samples']}, {left_out} left out" if left_out else row["num_samples"],
        "device": row["device_name"],
    }


def _row(run: dict[Any, Any]) -> dict[str, Any]:
    """A run as a list names it."""
    row = {key: run[key] for key in ("id", "experiment", "state", "num_samples", "num_set_aside", "source")}
    row |= {key: run[key] for key in ("note", "starred", "archived")} | {"tags": list(parted(run["tags"]))}
    row["created_at"] = run["created_at"].isoformat()
    conditions = ("reason", "name", "model", "weights", "device", "dtype", "engine", "clock")
    known = {key: run[key] if isinstance(run[key], str) else None for key in conditions}
    return {**row, **known, "device_name": known["device"]}
