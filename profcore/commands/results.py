"""`import` and `runs`: what the database takes in and holds."""

from __future__ import annotations

import argparse
import json

from profcore.commands.shared import check_database, database_of, hand_over
from profcore.errors import UserError


def take_in(options: argparse.Namespace) -> int:
    """Take files in, all or none."""
    from profcore.intake import lay_down, recognise

    database = database_of(options)
    spools = check_database(database)
    contents = []
    for file in options.files:
        try:
            contents.append((file, file.read_bytes()))
        except OSError as error:
            raise UserError(f"{file} cannot be read: {error.strerror}.") from None
    # All are looked at before the first is stored: one bad file leaves no half of the others behind.
    recognised = [(file, recognise(data, str(file), spools)) for file, data in contents]
    for file, received in recognised:
        lay_down(received, spools)
        note = f" {received.note}" if received.note else ""
        print(f"{file}: run {received.run_id}{'' if received.new else ' was here before'}.{note}")
        hand_over(spools / f"{received.run_id}.jsonl", database)
    return 0


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
