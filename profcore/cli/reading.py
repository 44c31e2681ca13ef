"""Finding runs for commands that only read, also while a dashboard holds the database."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from profcore.cli.common import database_of
from profcore.cli.values import shortened
from profcore.errors import UserError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from profcore.export.archive import AnyResult
    from profcore.storage.store import Store


@contextmanager
def reading(options: argparse.Namespace) -> Iterator[Store]:
    """The store that the options name; made of the spools where another process holds the database.

    Raises:
        UserError: There is no such database, or what reads it is not installed here.
    """
    database = database_of(options)
    try:
        from profcore.storage.store import open_for_reading, spool_directory
    except ImportError as error:
        raise UserError(f"{error.name} is not installed here: read results where requirements.txt is.") from None
    if not database.exists() and not spool_directory(database).is_dir():
        raise UserError(f"There is no database {shortened(str(database))!r} yet: measure or import something first.")
    with open_for_reading(database) as store:
        yield store


def load_named_run(store: Store, text: str) -> AnyResult:
    """A run as a page shows it, by its id or a beginning of it.

    Raises:
        UserError: As `find_run`.
    """
    from profcore.export.archive import load_run
    from profcore.results.named import find_run

    result = load_run(store, find_run(store, text))
    assert result
    return result
