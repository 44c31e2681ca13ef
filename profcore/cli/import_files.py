"""`import`: import spools and result files, ours or published."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.common import check_database, database_of, hand_over
from profcore.cli.options import add_database
from profcore.errors import UserError


def register(commands: Commands) -> None:
    """Add `import`."""
    parser = add_command(commands, "import", "import spools and result files", "spool-out/*.jsonl", "campaign/")
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="a spool, a result file, a zip of them, or a folder"
    )
    add_database(parser)
    parser.set_defaults(command=import_files)


def import_files(options: argparse.Namespace) -> int:
    """Import files, all or none."""
    from profcore.formats.imports import reading_path, write_imports

    database = database_of(options)
    spools = check_database(database)
    with ExitStack() as held:
        imports = []
        # All are looked at before the first is stored: one bad file leaves no half of the others behind.
        for file in options.files:
            try:
                imports += held.enter_context(reading_path(file, spools))
            except OSError as error:
                raise UserError(f"{file} cannot be read: {error.strerror}.") from None
        write_imports(imports, spools)
    for imported in imports:
        note = f" {imported.note}" if imported.note else ""
        print(f"{imported.name}: run {imported.run_id}{'' if imported.new else ' was here before'}.{note}")
    hand_over(spools, database)
    return 0
