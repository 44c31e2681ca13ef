"""`import`: import spools and result files, ours or published."""

from __future__ import annotations

import argparse
from pathlib import Path

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.common import check_database, database_of, hand_over
from profcore.cli.options import add_database
from profcore.errors import UserError
from profcore.paths import read_regular


def register(commands: Commands) -> None:
    """Add `import`."""
    parser = add_command(commands, "import", "import spools and result files", "spool-out/*.jsonl")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    add_database(parser)
    parser.set_defaults(command=import_files)


def import_files(options: argparse.Namespace) -> int:
    """Import files, all or none."""
    from profcore.formats.imports import LARGEST_IMPORT, read_import, write_imports

    database = database_of(options)
    spools = check_database(database)
    contents = []
    for file in options.files:
        try:
            contents.append((file, read_regular(file, LARGEST_IMPORT)))
        except OSError as error:
            raise UserError(f"{file} cannot be read: {error.strerror}.") from None
    # All are looked at before the first is stored: one bad file leaves no half of the others behind.
    imports = [(file, read_import(data, str(file), spools)) for file, data in contents]
    write_imports([imported for _, imported in imports], spools)
    for file, imported in imports:
        note = f" {imported.note}" if imported.note else ""
        print(f"{file}: run {imported.run_id}{'' if imported.new else ' was here before'}.{note}")
    hand_over(spools, database)
    return 0
