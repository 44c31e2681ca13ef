"""A picture that lies in a row of a table: Parquet, or Arrow as the `datasets` library saves it; needs no torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
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
    except (OSError, pa.ArrowException, KeyError, IndexError, ValueError, TypeError, OverflowError, MemoryError):
        raise ImageError(f"There is no picture in row {row} of {path}.") from None
    given = value.get("bytes") or value.get("path") if isinstance(value, dict) else value
    if isinstance(given, bytes):
        return given
    file = inside(Path(path).parent, given) if isinstance(given, str) and given else None
    if file is None:
        raise ImageError(f"Row {int(row) + 1} of {Path(path).name} holds no picture, nor the name of one beside it.")
    try:
        return file.read_bytes()
    except (OSError, ValueError):
        raise ImageError(f"There is no picture {file.name!r} beside {Path(path).name}.") from None


def is_parquet(file: Path) -> bool:
    """Whether a table's name says that it is Parquet; else it is Arrow's."""
    return file.suffix.lower() == ".parquet"


def column_names(file: Path) -> list[str]:
    """The names of a table's columns.

    Raises:
        OSError: As pyarrow, with its own errors besides.
    """
    return pq.read_schema(file).names if is_parquet(file) else _stream(*_version(str(file))).column_names


def read_columns(file: Path, columns: Sequence[str]) -> pa.Table:
    """Some columns of a table.

    Raises:
        OSError: As pyarrow, with its own errors besides.
    """
    if is_parquet(file):
        # The file alone: by a path, pyarrow would read folders called like key=value as columns too.
        return pq.ParquetFile(file).read(columns=list(columns))
    return _stream(*_version(str(file))).select(list(columns))


# Arrow's buffers are used as they lie in the file, and an offset that a damaged one holds is followed wherever it
# leads. Looking for such offsets may itself fail so, and what then ends is the child that looks.
_CHECK = """
import sys
import pyarrow as pa
for number, path in enumerate(sys.argv[1:]):
    print(number, flush=True)
    with pa.memory_map(path) as source:
        try:
            reader = pa.ipc.open_stream(source)
        except pa.ArrowInvalid:
            reader = pa.ipc.open_file(source)
        reader.read_all().validate(full=True)
print("done", flush=True)
"""
_FILES_AT_ONCE = 500


def check_arrow_files(files: Sequence[Path]) -> None:
    """Whether tables of Arrow's format are whole, looked at by a child process, since a damaged one can end it.

    Raises:
        OSError: One is not; the message is a sentence that names it.
    """
    for start in range(0, len(files), _FILES_AT_ONCE):
        batch = files[start : start + _FILES_AT_ONCE]
        command = [sys.executable, "-c", _CHECK, *map(str, batch)]
        # An unreadable file's reason may hold bytes of it.
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        said = done.stdout.split()
        if not said or said[-1] != "done":
            file = batch[int(said[-1]) if said else 0]
            reason = (done.stderr.strip().splitlines() or [""])[-1] if done.returncode == 1 else ""
            reason = reason.partition(": ")[2] or "it is damaged"
            raise OSError(f"{file} cannot be read as a table ({reason}).")


def _version(path: str) -> tuple[str, int, int]:
    """A file as it now is: what was read of it before it was written anew is not taken for it."""
    found = Path(path).stat()
    return path, found.st_mtime_ns, found.st_size


@lru_cache(maxsize=4)
def _stream(path: str, changed: int, size: int) -> pa.Table:
    """A table of Arrow's stream or file format, mapped into memory and not read."""
    try:
        return pa.ipc.open_stream(pa.memory_map(path)).read_all()
    except pa.ArrowInvalid:
        return pa.ipc.open_file(pa.memory_map(path)).read_all()


@lru_cache(maxsize=4)
def _parquet(path: str, changed: int, size: int) -> pq.ParquetFile:
    return pq.ParquetFile(path)


@lru_cache(maxsize=4)
def _row_group(version: tuple[str, int, int], column: str, group: int) -> pa.ChunkedArray:
    """One column of a row group: the least of a Parquet file that can be read."""
    return _parquet(*version).read_row_group(group, columns=[column]).column(column)


def _cell(path: str, column: str, row: int) -> Any:
    version = _version(path)
    if not is_parquet(Path(path)):
        return _stream(*version).column(column)[row].as_py()
    metadata = _parquet(*version).metadata
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if row < rows:
            return _row_group(version, column, group)[row].as_py()
        row -= rows
    raise IndexError(row)
