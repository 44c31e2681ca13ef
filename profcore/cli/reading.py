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

_MOST_NAMED = 5


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


def find_run(store: Store, text: str) -> str:
    """The id of the run that a person names by it, or by a beginning that is one run's alone.

    Raises:
        UserError: There is none, or several begin so.
    """
    ids = store.runs()["id"].tolist()
    if text in ids:
        return text
    found = [run_id for run_id in ids if text and run_id.startswith(text)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(f"There is no run {shortened(text)!r}: `profcore runs` lists those that there are.")
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    named = f"{', '.join(found[:_MOST_NAMED])}{more}"
    raise UserError(f"{shortened(text)!r} begins several runs: {named}. Give more of it.")


def load_named_run(store: Store, text: str) -> AnyResult:
    """A run as a page shows it, by its id or a beginning of it.

    Raises:
        UserError: As `find_run`.
    """
    from profcore.export.archive import load_run

    result = load_run(store, find_run(store, text))
    assert result
    return result
