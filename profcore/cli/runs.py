"""`runs`: what the database holds."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from profcore.cli.options import add_database, add_json
from profcore.cli.reading import reading


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `runs`."""
    parser = commands.add_parser("runs", help="list the runs in a database")
    add_database(parser)
    add_json(parser)
    parser.set_defaults(command=runs)


def runs(options: argparse.Namespace) -> int:
    """Print the runs of a database."""
    with reading(options) as store:
        rows = [_row(run) for run in store.runs().to_dict("records")]
        unread = dict(store.unread)
    for reason in unread.values():
        print(f"Passed over: {reason}", file=sys.stderr)
    if options.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table("id", "experiment", "state", "samples", "model", "weights", "device")
    for row in rows:
        cells = (row["id"], row["experiment"], row["state"], row["num_samples"], row["model"], row["weights"])
        table.add_row(*(str(cell or "") for cell in (*cells, row["device_name"])))
    Console().print(table)
    return 0


def _row(run: dict[Any, Any]) -> dict[str, Any]:
    """A run as a list names it."""
    environment = json.loads(run["environment"]) if isinstance(run["environment"], str) else {}
    row = {key: run[key] for key in ("id", "experiment", "state", "num_samples", "source")}
    row["created_at"] = run["created_at"].isoformat()
    row["reason"] = run["reason"] if isinstance(run["reason"], str) else None
    return row | {key: environment.get(key) for key in ("model", "weights", "device_name", "dtype", "engine", "clock")}
