"""A picture that lies in a row of a table: Parquet, or Arrow as the `datasets` library saves it; needs no torch."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from profcore.errors import ImageError
from profcore.paths import inside


def read_picture(place: str) -> bytes:
    """A picture's file content, from its place 'path|column|row' in a table.

    Raises:
        ImageError: There is none there.
    """
    path, column, row = place.rsplit("|", 2)
    try:
        value = _cell(path, column, int(row))
    except (OSError, pa.ArrowException, KeyError, IndexError, ValueError):
        raise ImageError(f"There is no picture in row {row} of {path}.") from None
    given = value.get("bytes") or value.get("path") if isinstance(value, dict) else value
    if isinstance(given, bytes):
        return given
    file = inside(Path(path).parent, given) if isinstance(given, str) and given else None
    if file is None:
        raise ImageError(f"Row {int(row) + 1} of {Path(path).name} holds no picture, nor the name of one beside it.")
    try:
        return file.read_bytes()
    except OSError:
        raise ImageError(f"There is no picture {file.name!r} beside {Path(path).name}.") from None


@lru_cache(maxsize=4)
def _stream(path: str) -> pa.Table:
    """A table of Arrow's stream or file format, mapped into memory and not read."""
    try:
        return pa.ipc.open_stream(pa.memory_map(path)).read_all()
    except pa.ArrowInvalid:
        return pa.ipc.open_file(pa.memory_map(path)).read_all()


@lru_cache(maxsize=4)
def _parquet(path: str) -> pq.ParquetFile:
    return pq.ParquetFile(path)


@lru_cache(maxsize=4)
def _row_group(path: str, column: str, group: int) -> pa.ChunkedArray:
    """One column of a row group: the least of a Parquet file that can be read."""
    return _parquet(path).read_row_group(group, columns=[column]).column(column)


def _cell(path: str, column: str, row: int) -> Any:
    if not path.endswith(".parquet"):
        return _stream(path).column(column)[row].as_py()
    metadata = _parquet(path).metadata
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if row < rows:
            return _row_group(path, column, group)[row].as_py()
        row -= rows
    raise IndexError(row)
