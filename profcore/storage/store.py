"""The store: the database behind one owner, and the spools beside it that it takes in.

Every sample of every run is kept as it was measured. A spool is taken in from the byte it was last read to, and
the samples and that byte offset are committed in one transaction, so that nothing is lost or doubled when a
process is killed.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import duckdb
import pyarrow as pa

from profcore.errors import FormatError, StoreHeldError, UserError
from profcore.paths import SHIPPED
from profcore.storage.connection import IN_MEMORY, Connection
from profcore.storage.insert import insert_records, insert_run
from profcore.storage.read import Reader
from profcore.storage.spool import read_lines
from profcore.storage.validation import BadRecordError, check_first, check_record, check_records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profcore.storage.spool import Record

_LONGEST_NAME = 120
_log = logging.getLogger(__name__)


class _Stored(NamedTuple):
    """New samples, and how many records could be stored."""

    samples: int
    kept: int


class Store(Reader):
    """Takes spools in, changes what is stored, and asks it (see `Reader`).

    Attributes:
        path: The database.
        spools: The spool directory beside it.
        unread: Spools that could not be read, by their names, each with the reason.
    """

    def __init__(self, path: Path | str, spools: Path | None = None) -> None:
        """Open or create a database; its spools lie beside it unless told otherwise.

        Raises:
            StoreHeldError: Another process holds it.
            StoreError: It is no database of this project.
        """
        super().__init__(Connection(path))
        self.path = Path(path)
        self.spools = spools or spool_directory(self.path)
        self.unread: dict[str, str] = {}

    def close(self) -> None:
        """Close the database and let go of its lock."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    # Taking in

    def take_in(self, path: Path, source: str = "measured") -> int:
        """Take in what a spool has beyond what was taken in before; returns the number of new samples.

        A line that cannot be read or stored is left out and counted (see `bad_lines`).

        Raises:
            FormatError: The file is no spool of a run that this version knows; nothing of it is stored.
            OSError: It cannot be read.
        """
        run_id = path.stem
        offset = self._offset(self.connection.cursor, run_id) or 0
        if path.stat().st_size <= offset:
            return 0
        with self.connection.transaction() as cursor:
            # Read again inside: another thread may have taken the same lines in meanwhile.
            known = self._offset(cursor, run_id)
            lines = read_lines(path, known or 0)
            if not lines.records:
                return 0
            try:
                records = self._begin(cursor, run_id, lines.records, source) if known is None else lines.records
                new = self._store(cursor, run_id, records)
            except (BadRecordError, ValueError, TypeError, OverflowError, pa.ArrowException, duckdb.DataError) as error:
                raise FormatError(f"{path.name} is not a spool this version reads: {error}.") from None
            cursor.execute(
                """
                INSERT INTO spools VALUES (?, ?, ?)
                ON CONFLICT (run_id) DO UPDATE
                SET byte_offset = excluded.byte_offset, bad_lines = spools.bad_lines + excluded.bad_lines
                """,
                [run_id, lines.offset, len(records) - new.kept],
            )
        return new.samples

    def take_in_all(self) -> int:
        """Take in every spool beside the database; returns the number of new samples.

        Each is read by itself, whatever it raises: what cannot be read is remembered in `unread`, and keeps no other
        out.
        """
        return sum(self.try_take_in(path) for path in sorted(self.spools.glob("*.jsonl")))

    def try_take_in(self, path: Path, source: str = "measured") -> int:
        """As `take_in`, but what cannot be read is remembered in `unread`, said once in the log, and counts as 0."""
        try:
            new = self.take_in(path, source)
        except (FormatError, OSError) as error:
            reason = str(error) if isinstance(error, FormatError) else f"{path.name}: {error.strerror}."
            if self.unread.get(path.name) != reason:
                _log.warning("%s", reason)
            self.unread[path.name] = reason
            return 0
        self.unread.pop(path.name, None)
        return new

    def take_in_shipped(self, directory: Path = SHIPPED) -> None:
        """Take in the sample results that come with the project."""
        removed = self.removed()
        for path in sorted(directory.glob("*.jsonl")):
            if path.stem not in removed:
                self.take_in(path, source="shipped")

    def _begin(
        self, cursor: duckdb.DuckDBPyConnection, run_id: str, records: list[Record | None], source: str
    ) -> list[Record | None]:
        """Store the run itself; returns what follows its first record."""
        first, *following = records
        if first is None:
            raise BadRecordError("its first line holds no run")
        check_first(first, self.connection.schema("settings"))
        insert_run(cursor, run_id, first, source, self.connection.schema("settings"))
        return following

    def _store(self, cursor: duckdb.DuckDBPyConnection, run_id: str, records: list[Record | None]) -> _Stored:
        """Store the records that can be; each of the others is left out."""
        schema = self.connection.schema("samples")
        (number,) = cursor.execute("SELECT count(*) FROM settings WHERE run_id = ?", [run_id]).fetchall()[0]
        good = []
        for record in records:
            if record is not None and _is_good(record, number, schema):
                good.append(record)
        return _Stored(insert_records(cursor, run_id, good, schema), len(good))

    # Changing

    def rename(self, run_id: str, name: str | None) -> None:
        """Give a run a name; a blank one, or None, for the one that follows from what it was measured on.

        Raises:
            UserError: The name is too long.
        """
        name = (name or "").strip() or None
        if name and len(name) > _LONGEST_NAME:
            raise UserError(f"A name of {len(name)} letters is too long: at most {_LONGEST_NAME}.")
        with self.connection.transaction() as cursor:
            cursor.execute("UPDATE runs SET name = ? WHERE id = ?", [name, run_id])

    def remove(self, run_id: str) -> None:
        """Take a run out, with its spool beside the database; sample results are only kept from coming back."""
        with self.connection.transaction() as cursor:
            shipped = cursor.execute("SELECT source = 'shipped' FROM runs WHERE id = ?", [run_id]).fetchall()
            for table in ("samples", "settings", "summaries", "spools"):
                cursor.execute(f"DELETE FROM {table} WHERE run_id = ?", [run_id])
            cursor.execute("DELETE FROM runs WHERE id = ?", [run_id])
            if shipped and shipped[0][0]:
                cursor.execute("INSERT OR REPLACE INTO removed VALUES (?)", [run_id])
            # Inside, so that no other thread takes it in again between.
            (self.spools / f"{run_id}.jsonl").unlink(missing_ok=True)

    def restore_shipped(self, directory: Path = SHIPPED) -> None:
        """Take removed sample results in again."""
        with self.connection.transaction() as cursor:
            cursor.execute("DELETE FROM removed")
        self.take_in_shipped(directory)

    @staticmethod
    def _offset(cursor: duckdb.DuckDBPyConnection, run_id: str) -> int | None:
        """How far a run's spool was taken in; None where it is new."""
        # Fetched to the end: a cursor with a result left over refuses other work.
        rows = cursor.execute("SELECT byte_offset FROM spools WHERE run_id = ?", [run_id]).fetchall()
        return rows[0][0] if rows else None


def _is_good(record: Record, num_settings: int, samples: pa.Schema) -> bool:
    try:
        check_record(record, num_settings, samples)
    except BadRecordError as error:
        _log.info("A record is left out: %s", error)
        return False
    return True


def check_storable(records: list[Record], name: str) -> None:
    """Whether a database can hold every record of a file, so that the file is taken in whole or not at all.

    Raises:
        FormatError: It cannot; `name` and the first few places are said.
    """
    schemas = _schemas()
    check_records(records, schemas["settings"], schemas["samples"], name)


def check_spool(records: list[Record | None], name: str) -> int:
    """Whether a spool holds a run that can be stored; returns how many of its lines cannot, and are left out.

    Args:
        records: As `spool.split_records`.
        name: What the file is called.

    Raises:
        FormatError: Its first line holds no run that this version knows.
    """
    schemas = _schemas()
    try:
        if not records or records[0] is None:
            raise BadRecordError("its first line holds no run")
        number = check_first(records[0], schemas["settings"])
    except BadRecordError as error:
        raise FormatError(f"{name} is not a spool this version reads: {error}.") from None
    kept = (record is not None and _is_good(record, number, schemas["samples"]) for record in records[1:])
    return len(records) - 1 - sum(kept)


@cache
def _schemas() -> dict[str, pa.Schema]:
    """The columns of a database's tables, asked of an empty one."""
    connection = Connection(IN_MEMORY)
    try:
        return {table: connection.schema(table) for table in ("settings", "samples")}
    finally:
        connection.close()


def spool_directory(database: Path) -> Path:
    """Where the spools of a database lie: `spool/` beside it."""
    return database.parent / "spool"


@contextmanager
def open_for_reading(database: Path) -> Iterator[Store]:
    """A store that holds what a database and its spools hold, also while another process owns the database.

    Then it is made of the spools and the sample results, in memory: names that runs were given, and which sample
    results were removed, are known to the owner alone.

    Raises:
        StoreError: It is no database of this project.
    """
    try:
        store = Store(database)
    except StoreHeldError:
        store = Store(IN_MEMORY, spool_directory(database))
        store.take_in_shipped()
    with store:
        store.take_in_all()
        yield store
