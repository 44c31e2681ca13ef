"""`rebuild`: a new database from the spools of one that is damaged, lost or of a newer version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore.cli.command_parser import Commands, add_command
from profcore.cli.common import database_of
from profcore.cli.options import add_database
from profcore.cli.values import shortened
from profcore.errors import StoreHeldError, UserError
from profcore.spec.text import counted, some

if TYPE_CHECKING:
    import argparse


def register(commands: Commands) -> None:
    """Add `rebuild`."""
    parser = add_command(
        commands, "rebuild", "make a new database from the spools; the old file is kept", "--db data/profcore.duckdb"
    )
    add_database(parser)
    parser.set_defaults(command=rebuild)


def rebuild(options: argparse.Namespace) -> int:
    """Make a new database from the spools beside the one that is named."""
    from profcore.storage.rebuild import rebuild as make_anew

    database = database_of(options)
    try:
        rebuilt = make_anew(database)
    except StoreHeldError:
        raise UserError(
            f"{shortened(str(database))} is held by another process, such as a dashboard: its pages offer to rebuild "
            "it where that is needed, or end it first."
        ) from None
    print(f"{database} is new, with {counted(rebuilt.runs, 'run')} from the spools.")
    if rebuilt.aside:
        print(f"What was there is {rebuilt.aside} now.")
    if rebuilt.lacking:
        print(f"No spool holds {some(rebuilt.lacking)}, which the old one held.")
    return 0
