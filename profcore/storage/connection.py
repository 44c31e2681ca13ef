"""The database file: one connection, one cursor of it a thread, one writer at a time; the only place that opens it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from profcore.errors import StoreError, StoreHeldError
from profcore.storage.migrations import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

IN_MEMORY = ":memory:"


class Connection:
    """A database of this project, brought to the newest schema.

    A connection shared between threads returns wrong rows, so each thread gets a cursor of its own.
    """

    def __init__(self, path: Path | str) -> None:
        """Open or create a database; `IN_MEMORY` is one that is gone when it is closed.

        Raises:
            StoreHeldError: Another process holds it.
            StoreError: It is no database of this project.
        """
        self.path = Path(path)
        self._connection = _open(path)
        self._local = threading.local()
        self._writing = threading.Lock()
        self._schemas: dict[str, pa.Schema] = {}
        try:
            self._migrate()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the database and let go of its lock."""
        self._connection.close()

    @property
    def cursor(self) -> duckdb.DuckDBPyConnection:
        """This thread's cursor; a result must be fetched to its end before the next question."""
        if not hasattr(self._local, "cursor"):
            self._local.cursor = self._connection.cursor()
        return self._local.cursor

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One writer at a time: two transactions that touch a row would conflict."""
        with self._writing:
            cursor = self.cursor
            cursor.begin()
            try:
                yield cursor
            except BaseException:
                cursor.rollback()
                raise
            cursor.commit()

    def schema(self, table: str) -> pa.Schema:
        """The columns of a table and their types, as the database has them."""
        if table not in self._schemas:
            self._schemas[table] = self.cursor.sql(f"SELECT * FROM {table} LIMIT 0").to_arrow_table().schema
        return self._schemas[table]

    def snapshot(self, path: Path) -> None:
        """Copy the whole database into a new file, while it is in use.

        The live file itself is never opened or copied: that would drop its lock.
        """
        with self._writing:
            cursor = self.cursor
            (name,) = cursor.execute("SELECT current_database()").fetchall()[0]
            place = str(path).replace("'", "''")
            cursor.execute(f"ATTACH '{place}' AS profcore_snapshot")
            try:
                cursor.execute(f'COPY FROM DATABASE "{name}" TO profcore_snapshot').fetchall()
            finally:
                cursor.execute("DETACH profcore_snapshot")

    def _migrate(self) -> None:
        with self.transaction() as cursor:
            tables = {row[0] for row in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
            if "profcore_version" not in tables:
                if tables:
                    raise StoreError(f"{self.path} is a database of another program: give another path.")
                cursor.execute("CREATE TABLE profcore_version (version INTEGER NOT NULL)")
                cursor.execute("INSERT INTO profcore_version VALUES (0)")
            version = cursor.execute("SELECT version FROM profcore_version").fetchall()[0][0]
            if version > len(MIGRATIONS):
                raise StoreError(f"{self.path} was made by a newer profcore (schema {version}): update this one.")
            for script in MIGRATIONS[version:]:
                cursor.execute(script)
            cursor.execute("UPDATE profcore_version SET version = ?", [len(MIGRATIONS)])


def _open(path: Path | str) -> duckdb.DuckDBPyConnection:
    try:
        if str(path) != IN_MEMORY:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        return duckdb.connect(str(path))
    except duckdb.IOException as error:
        if "could not set lock" in str(error).lower() or "conflicting lock" in str(error).lower():
            raise StoreHeldError(f"{path} is held by another process, which takes spools in itself.") from None
        raise StoreError(f"{path} is no DuckDB database: give the path of one, or of a file yet to be made.") from None
    except (duckdb.Error, OSError) as error:
        raise StoreError(f"{path} cannot be opened as a database ({str(error).splitlines()[0]}).") from None
