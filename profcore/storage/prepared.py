"""Sample results as the tables that taking their spools in gives: read at once, where lines take seconds.

The spools beside them stay what holds: tables that were made of others, or for another schema, are passed over. Made
again by `python -m profcore.storage.prepared`, once sample results or how they are taken in have changed.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.paths import SHIPPED
from profcore.storage.connection import IN_MEMORY
from profcore.storage.migrations import MIGRATIONS
from profcore.storage.shipped import shipped_spools, unpacked_size

if TYPE_CHECKING:
    from collections.abc import Collection

    from profcore.storage.connection import Connection, Cursor

FOLDER = "prepared"
TABLES = {"runs": "id", "settings": "run_id", "samples": "run_id", "environments": "run_id", "spools": "run_id"}
"""The tables that a run is in, each with the column that names it."""
_OF = "of.json"
_TABLES_TOLD = "tables"
_CHECKSUM_BYTES = 4


def prepared_runs(directory: Path | None = None) -> set[str]:
    """The sample results whose tables are those of their spools, by the ids of their runs."""
    directory = directory or SHIPPED
    try:
        made_of = json.loads((directory / FOLDER / _OF).read_text(encoding="utf-8"))
        if made_of["schema"] != len(MIGRATIONS) or made_of[_TABLES_TOLD] != _tables_told(directory):
            return set()
        spools = shipped_spools(directory)
        return {run_id for run_id, told in made_of["spools"].items() if told == _told(spools.get(run_id))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()


def take_in_prepared(cursor: Cursor, run_ids: Collection[str], directory: Path | None = None) -> None:
    """Put the tables of sample results into a database that has nothing of them yet.

    Args:
        cursor: In a transaction.
        run_ids: Of those that `prepared_runs` gives.
        directory: Where sample results are, unless where they come with the project.

    Raises:
        StoreError: They cannot be read.
    """
    for table, column in TABLES.items():
        place = str(_file(directory or SHIPPED, table)).replace("'", "''")
        statement = f"INSERT INTO {table} BY NAME FROM read_parquet('{place}') WHERE list_contains(?, {column})"
        cursor.execute(statement, [list(run_ids)]).fetchall()


def write_prepared(connection: Connection, directory: Path) -> None:
    """Write the tables of sample results from a database that has taken in their spools and nothing else."""
    (directory / FOLDER).mkdir(exist_ok=True)
    for table in TABLES:
        connection.write_parquet(f"SELECT * FROM {table} ORDER BY ALL", _file(directory, table))
    told = {run_id: _told(path) for run_id, path in shipped_spools(directory).items()}
    made_of = {"schema": len(MIGRATIONS), _TABLES_TOLD: _tables_told(directory), "spools": told}
    text = json.dumps(made_of, indent=1)
    (directory / FOLDER / _OF).write_text(f"{text}\n", encoding="utf-8")


def _file(directory: Path, table: str) -> Path:
    return directory / FOLDER / f"{table}.parquet"


def _tables_told(directory: Path) -> dict[str, list[int]]:
    """Size and checksum of each table's file: one that is damaged, or of other tables, may still be read as Parquet."""
    found = {table: _file(directory, table).read_bytes() for table in TABLES}
    return {table: [len(data), zlib.crc32(data)] for table, data in found.items()}


def _told(path: Path | None) -> Any:
    """What tells a sample result from any other: size and checksum of its spool, of a gzipped one as told there.

    Source: RFC 1952: a gzip file ends with a CRC-32 of what it holds and its size.
    """
    if path is None:
        return None
    if path.suffix != ".gz":
        return [unpacked_size(path), zlib.crc32(path.read_bytes())]
    with path.open("rb") as file:
        file.seek(-2 * _CHECKSUM_BYTES, 2)
        return [unpacked_size(path), int.from_bytes(file.read(_CHECKSUM_BYTES), "little")]


def main() -> None:
    """Make the tables of the sample results anew."""
    from profcore.storage.store import Store

    with Store(IN_MEMORY) as store:
        store.take_in_shipped(prepared=False)
        write_prepared(store.connection, SHIPPED)


if __name__ == "__main__":
    main()
