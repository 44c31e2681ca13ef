"""`import`: take in spools and result files, ours or published."""

from __future__ import annotations

import argparse
from pathlib import Path

from profcore.cli.common import check_database, database_of, hand_over
from profcore.cli.options import add_database
from profcore.errors import UserError


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `import`."""
    parser = commands.add_parser("import", help="take in spools and result files")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    add_database(parser)
    parser.set_defaults(command=import_files)


def import_files(options: argparse.Namespace) -> int:
    """Take files in, all or none."""
    from profcore.formats.intake import lay_down, recognise

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
