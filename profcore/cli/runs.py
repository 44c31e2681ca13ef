"""`runs`: what the database holds."""

from __future__ import annotations

import argparse
import json

from profcore.cli.common import database_of
from profcore.cli.options import add_database, add_json
from profcore.errors import UserError


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `runs`."""
    parser = commands.add_parser("runs", help="list the runs in a database")
    add_database(parser)
    add_json(parser)
    parser.set_defaults(command=runs)


def runs(options: argparse.Namespace) -> int:
    """Print the runs of a database."""
    from profcore.storage.store import Store

    database = database_of(options)
    if not database.exists():
        raise UserError(f"There is no database {str(database)!r} yet: measure or import something first.")
    with Store(database) as store:
        store.take_in_all()
        frame = store.runs()
        rows = []
        for run in frame.to_dict("records"):
            environment = json.loads(run["environment"]) if isinstance(run["environment"], str) else {}
            row = {key: run[key] for key in ("id", "experiment", "state", "num_samples", "source")}
            row["created_at"] = run["created_at"].isoformat()
            row["reason"] = run["reason"] if isinstance(run["reason"], str) else None
            row.update({key: environment.get(key) for key in ("model", "weights", "device_name", "dtype", "clock")})
            rows.append(row)
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
