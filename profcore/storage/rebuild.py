"""A new database from the spools of one that is damaged, lost or of a newer version; the old file is kept."""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from profcore.errors import StoreDamagedError, StoreError, StoreNewerError, StoreValueError, UserError
from profcore.storage.adoption import adopt
from profcore.storage.connection import Connection
from profcore.storage.spool import spool_files
from profcore.storage.store import Store, spool_directory

if TYPE_CHECKING:
    from collections.abc import Iterator


class Rebuilt(NamedTuple):
    """What became of a database.

    Attributes:
        aside: What the old file is called now; None where there was none.
        runs: Runs in the new one.
        lacking: Ids of runs that the old one held, as far as it could be read, and no spool does.
    """

    aside: Path | None
    runs: int
    lacking: list[str]


def rebuild(database: Path) -> Rebuilt:
    """Make a new database from the spools beside one, and put it in its place.

    Raises:
        StoreHeldError: Another process holds it.
        StoreError: It is another program's, or cannot be written.
        UserError: There are no spools to make it from.
    """
    # A link to a database stays one: what it leads to is made anew.
    database = Path(os.path.realpath(database))
    spools = spool_directory(database)
    before = _runs_before(database)
    if database.exists():
        # What is damaged cannot say which of the spools of older versions are its own.
        adopt(database, spools, set())
    if not spool_files(spools):
        ways = f" Move {database} away, and one with the sample results is made." if database.exists() else ""
        raise UserError(f"No spools lie in {spools}, so no database can be made from them.{ways}")
    with _prepared(database, spools) as (part, runs):
        aside = _put_in_place(part, database)
    return Rebuilt(aside, len(runs), sorted(before - runs))


def rebuild_open(store: Store) -> Rebuilt:
    """As `rebuild`, of a store that is open: whoever asks it next asks the new database.

    Raises:
        StoreError: The new one cannot be written; the old one stays.
    """
    with _prepared(store.path, store.spools) as (part, runs):
        with suppress(StoreError):
            store.connection.close()
        try:
            aside = _put_in_place(part, store.path)
        finally:
            store.connection = Connection(store.path)
    store.unread.clear()
    return Rebuilt(aside, len(runs), [])


def _runs_before(database: Path) -> set[str]:
    """The runs that a database holds; none where it is not there or cannot be read."""
    if not database.exists():
        return set()
    try:
        # Opening it also sees that the names it holds are kept beside the spools.
        with Store(database) as store:
            return set(store.runs()["id"])
    except (StoreDamagedError, StoreNewerError, StoreValueError):
        return set()


@contextmanager
def _prepared(database: Path, spools: Path) -> Iterator[tuple[Path, set[str]]]:
    """A whole new database beside the one that it is to replace, and its runs; deleted if it is not moved away."""
    part = database.with_name(f"{database.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with Store(part, spools) as store:
            store.take_in_shipped()
            store.take_in_all()
            runs = set(store.runs()["id"])
        yield part, runs
    finally:
        for path in (part, _log_of(part)):
            path.unlink(missing_ok=True)


def _put_in_place(part: Path, database: Path) -> Path | None:
    """Move the new database where the old one was, and that beside it; its new path, None where there was none."""
    aside = None
    if database.exists():
        names = (database.with_name(f"{database.name}.old-{number}") for number in count(1))
        aside = next(name for name in names if not name.exists())
        database.replace(aside)
    # A log left beside the new one would be taken for its own.
    if _log_of(database).exists():
        _log_of(database).replace(_log_of(aside or database.with_name(f"{database.name}.old")))
    part.replace(database)
    return aside


def _log_of(database: Path) -> Path:
    """Where DuckDB writes what has not reached the database's own file yet."""
    return database.with_name(f"{database.name}.wal")
