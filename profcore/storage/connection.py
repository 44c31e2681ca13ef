"""The database file: one connection, one cursor of it a thread, one writer at a time; the only place that opens it."""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import duckdb

from profcore.errors import StoreDamagedError, StoreError, StoreNewerError
from profcore.storage.migrations import MIGRATIONS
from profcore.storage.trouble import damaged, is_no_database, rebuild_command, store_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd
    import pyarrow as pa

IN_MEMORY = ":memory:"

# A file that another process is just making holds at most DuckDB's headers, and is no database until it has them.
_FIRST_BLOCKS = 3 * 4096
_MADE_WITHIN_S, _MOST_TRIES = 2.0, 20


class Cursor:
    """One thread's cursor; whatever DuckDB raises leaves it as a `StoreError`, whose sentence a page can show."""

    def __init__(self, inner: duckdb.DuckDBPyConnection, path: Path) -> None:
        self._inner, self._path = inner, path

    def execute(self, query: str, parameters: Sequence[Any] = ()) -> Self:
        """Ask or change something; what it gives is fetched from here."""
        with said(self._path):
            self._inner.execute(query, parameters)
        return self

    def executemany(self, query: str, parameters: Sequence[Sequence[Any]]) -> None:
        """Change something for each of several parameters."""
        with said(self._path):
            self._inner.executemany(query, parameters)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows of what was asked."""
        with said(self._path):
            return self._inner.fetchall()

    def df(self) -> pd.DataFrame:
        """What was asked as a frame."""
        with said(self._path):
            return self._inner.df()

    def arrow(self, query: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """What a question gives as a table of Arrow."""
        with said(self._path):
            return self._inner.sql(query, params=list(parameters)).to_arrow_table()

    @property
    def columns(self) -> list[str]:
        """The names of the columns of what was asked."""
        return [column[0] for column in self._inner.description or []]

    def append(self, table: str, rows: pa.Table) -> None:
        """Append rows to a table of the database, by the names of its columns."""
        self._with_rows(rows, f"INSERT INTO {table} BY NAME SELECT * FROM new_rows")

    def change(self, table: str, rows: pa.Table, by: Sequence[str]) -> None:
        """Give the rows of a table the values of other rows.

        Args:
            table: Of the database.
            rows: Columns of that table, of those to change and of what tells rows apart.
            by: The columns that tell them apart.
        """
        values = ", ".join(f"{name} = new_rows.{name}" for name in rows.column_names if name not in by)
        same = " AND ".join(f"{table}.{name} = new_rows.{name}" for name in by)
        self._with_rows(rows, f"UPDATE {table} SET {values} FROM new_rows WHERE {same}")

    def _with_rows(self, rows: pa.Table, statement: str) -> None:
        with said(self._path):
            self._inner.register("new_rows", rows)
            try:
                self._inner.execute(statement)
            finally:
                self._inner.unregister("new_rows")

    def begin(self) -> None:
        """Begin a transaction."""
        with said(self._path):
            self._inner.begin()

    def commit(self) -> None:
        """Keep what was changed since it began."""
        with said(self._path):
            self._inner.commit()

    def rollback(self) -> None:
        """Undo what was changed since it began, if it has not come undone by itself."""
        with suppress(duckdb.Error):
            self._inner.rollback()


@contextmanager
def said(path: Path) -> Iterator[None]:
    """Let no error of DuckDB's own out of here."""
    try:
        yield
    except duckdb.Error as error:
        raise store_error(error, path) from error


# What follows from one connection's data must not be taken for another's, as after a rebuild.
_OPENED, _MOST_CHANGES = itertools.count(), 10**12


class Connection:
    """A database of this project, brought to the newest schema.

    A connection shared between threads returns wrong rows, so each thread gets a cursor of its own.

    Attributes:
        path: The database.
        changes: A number that grows with every transaction that is committed, and is no other connection's.
    """

    def __init__(self, path: Path | str) -> None:
        """Open or create a database; `IN_MEMORY` is one that is gone when it is closed.

        Raises:
            StoreHeldError: Another process holds it.
            StoreDamagedError: It is not whole.
            StoreError: It is no database of this project, or cannot be written.
        """
        self.path = Path(path)
        self.changes = next(_OPENED) * _MOST_CHANGES
        self._connection = _open(path)
        self._file = _identity(self.path)
        self._local = threading.local()
        self._writing, self._within = threading.RLock(), False
        self._schemas: dict[str, pa.Schema] = {}
        try:
            self._migrate()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the database and let go of its lock."""
        with said(self.path):
            self._connection.close()

    def check_there(self) -> None:
        """Whether the file that was opened is still where it was.

        Raises:
            StoreDamagedError: It was deleted or replaced: what is written from now on would be gone with this process.
        """
        if str(self.path) != IN_MEMORY and _identity(self.path) != self._file:
            raise damaged(self.path, "was deleted or replaced while it was open")

    @property
    def cursor(self) -> Cursor:
        """This thread's cursor; a result must be fetched to its end before the next question."""
        if not hasattr(self._local, "cursor"):
            with said(self.path):
                self._local.cursor = Cursor(self._connection.cursor(), self.path)
        return self._local.cursor

    @contextmanager
    def transaction(self) -> Iterator[Cursor]:
        """One writer at a time: two transactions that touch a row would conflict.

        One within another is part of it.
        """
        with self._writing:
            if self._within:
                yield self.cursor
                return
            self._within = True
            try:
                with self._own_transaction() as cursor:
                    yield cursor
            finally:
                self._within = False

    @contextmanager
    def _own_transaction(self) -> Iterator[Cursor]:
        cursor = self.cursor
        cursor.begin()
        try:
            yield cursor
        except BaseException:
            cursor.rollback()
            raise
        cursor.commit()
        self.changes += 1

    def schema(self, table: str) -> pa.Schema:
        """The columns of a table and their types, as the database has them."""
        if table not in self._schemas:
            self._schemas[table] = self.cursor.arrow(f"SELECT * FROM {table} LIMIT 0").schema
        return self._schemas[table]

    def snapshot(self, path: Path, tables: tuple[str, ...] = ()) -> None:
        """Copy the whole database, or some of its tables, into a new file, while it is in use.

        The live file itself is never opened or copied: that would drop its lock.

        Raises:
            StoreError: It cannot be made; of the new file nothing is left then.
        """
        with self._writing:
            try:
                self._copy_to(path, tables)
            except duckdb.Error as error:
                for left in (path, path.with_name(f"{path.name}.wal")):
                    left.unlink(missing_ok=True)
                problem = store_error(error, path)
                if isinstance(problem, StoreDamagedError):
                    # Nobody is to mend the copy, which is gone.
                    problem = StoreError(f"{self.path} cannot be copied: {str(error).splitlines()[0]}.")
                raise problem from None

    def _copy_to(self, path: Path, tables: tuple[str, ...]) -> None:
        cursor = self._connection.cursor()
        name = cursor.execute("SELECT current_database()").fetchall()[0][0]
        place = str(path).replace("'", "''")
        cursor.execute(f"ATTACH '{place}' AS profcore_snapshot")
        try:
            if not tables:
                cursor.execute(f'COPY FROM DATABASE "{name}" TO profcore_snapshot').fetchall()
            for table in tables:
                cursor.execute(f'CREATE TABLE profcore_snapshot.{table} AS FROM "{name}".{table}').fetchall()
        finally:
            with suppress(duckdb.Error):
                cursor.execute("DETACH profcore_snapshot")

    def write_parquet(self, query: str, path: Path) -> None:
        """Write what a question gives into a Parquet file, without holding all of it in memory."""
        cursor = Cursor(self._connection.cursor(), path)
        place = str(path).replace("'", "''")
        cursor.execute(f"COPY ({query}) TO '{place}' (FORMAT parquet, COMPRESSION zstd)").fetchall()

    def _migrate(self) -> None:
        with self.transaction() as cursor:
            tables = {row[0] for row in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
            if "profcore_version" not in tables:
                if tables:
                    raise StoreError(f"{self.path} is a database of another program: give another path.")
                cursor.execute("CREATE TABLE profcore_version (version INTEGER NOT NULL)")
                cursor.execute("INSERT INTO profcore_version VALUES (0)")
            versions = cursor.execute("SELECT version FROM profcore_version").fetchall()
            if len(versions) != 1 or type(versions[0][0]) is not int or versions[0][0] < 0:
                raise damaged(self.path, "does not say which version it is of")
            version = versions[0][0]
            if version > len(MIGRATIONS):
                raise StoreNewerError(
                    f"{self.path} was made by a newer profcore (schema {version}): update this one, or have "
                    f"`{rebuild_command(self.path)}` make another from its spools."
                )
            for script in MIGRATIONS[version:]:
                cursor.execute(script)
            cursor.execute("UPDATE profcore_version SET version = ?", [len(MIGRATIONS)])
            if lacking := sorted(_newest_columns() - _columns_of(cursor)):
                table, column, kind = lacking[0]
                raise damaged(self.path, f"is damaged (its table {table} lacks {column} as {kind})")


def _columns_of(connection: Cursor | duckdb.DuckDBPyConnection) -> set[tuple[str, ...]]:
    """Each table's columns with their types."""
    asked = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
    return set(connection.execute(asked).fetchall())


@cache
def _newest_columns() -> frozenset[tuple[str, ...]]:
    """The columns that the newest schema has, as its scripts make them."""
    with duckdb.connect(IN_MEMORY) as empty:
        for script in MIGRATIONS:
            empty.execute(script)
        return frozenset(_columns_of(empty))


def _open(path: Path | str) -> duckdb.DuckDBPyConnection:
    try:
        if str(path) != IN_MEMORY:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            if Path(path).exists() and not Path(path).is_file():
                # Opening a pipe would wait for whoever writes into it.
                raise StoreError(f"{path} is no file: give the path of a database, or of a file yet to be made.")
        return _connect(Path(path)) if str(path) != IN_MEMORY else duckdb.connect(IN_MEMORY)
    except (duckdb.Error, OSError) as error:
        raise store_error(error, Path(path)) from None


def _connect(path: Path) -> duckdb.DuckDBPyConnection:
    """Open a database; one that another process is just making is waited for, as it is none before its first blocks."""
    for _ in range(_MOST_TRIES):
        try:
            return duckdb.connect(str(path))
        except duckdb.IOException as error:
            if not (is_no_database(error) and _is_being_made(path)):
                raise
        time.sleep(_MADE_WITHIN_S / _MOST_TRIES)
    return duckdb.connect(str(path))


def _is_being_made(path: Path) -> bool:
    found = path.stat()
    return found.st_size <= _FIRST_BLOCKS and time.time() - found.st_mtime < _MADE_WITHIN_S


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from one of the same name that has taken its place; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
