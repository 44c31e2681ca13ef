"""The process that opens tables for `profcore.images.rows`: a damaged one may end it, and ends nothing else.

Arrow's buffers are used as they lie in the file, and an offset that a damaged one holds is followed wherever it leads.
So a file is validated in full here, and what is asked for leaves as a copy that was made from the valid.

It reads one JSON request a line from standard input (`{"do": "columns" | "rows" | "cell", "path": …}`) and answers with
JSON lines, each followed by as many bytes as its `bytes` says. It needs pyarrow alone and is started by its path.
"""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

# Read when pyarrow is imported. Its usual allocator takes a gigabyte at once, used or not, which could not be bounded.
os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A page of a few bytes may stand for any number of equal values, so that memory itself is bounded: what a request may
# take beyond what the process has then. Pictures alone are read a row group at once, with all pictures of it.
_MOST_MEMORY = {"columns": 200_000_000, "rows": 200_000_000, "cell": 2_500_000_000}
_LARGEST_GROUP, _LARGEST_KEPT = 1_000_000_000, 100_000_000
_ROWS_AT_ONCE = 256
_BUFFER = 2**20


def main() -> None:
    """Answer requests until there are no more."""
    # What a library prints must not be taken for an answer.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Each thread of a pool has a stack of its own, which counts as memory whether it is used or not.
    pa.set_cpu_count(1)
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        do = asked.pop("do")
        _bound_memory(_MOST_MEMORY[do])
        try:
            _DO[do](out, **asked)
        # Arrow's errors, and those of values that Python has no like of.
        except (OSError, pa.ArrowException, ArithmeticError, LookupError, ValueError, TypeError, MemoryError):
            # It may be what was kept that left too little.
            _row_group.cache_clear()
            _say(out, error=True)
        out.flush()


def _bound_memory(beyond: int) -> None:
    """Have this process take at most so much more than it has, as far as the system knows such a limit."""
    # Files that are mapped do not count.
    with suppress(ImportError, ValueError, OSError, AttributeError):
        import resource

        has = re.search(r"VmData:\s+(\d+) kB", Path("/proc/self/status").read_text())
        if has:
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            resource.setrlimit(resource.RLIMIT_DATA, (int(has[1]) * 1024 + beyond, hard))


def _say(out: BinaryIO, data: bytes = b"", **answer: Any) -> None:
    out.write(json.dumps({**answer, "bytes": len(data)}).encode() + b"\n" + data)


def _columns(out: BinaryIO, path: str) -> None:
    """Say the names of a table's columns and how many rows it has."""
    if _is_parquet(path):
        file = _parquet(*_version(path))
        _say(out, columns=file.schema_arrow.names, rows=file.metadata.num_rows)
    else:
        table = _arrow(*_version(path))
        _say(out, columns=table.column_names, rows=table.num_rows)


def _rows(out: BinaryIO, path: str, columns: list[str], most: int, whole: int) -> None:
    """Send some columns, in parts of at most so many bytes each; a part is an Arrow stream of its own.

    Those that say themselves that they hold more than `whole` bytes are not read at all.
    """
    if _is_parquet(path) and _all_unpacked(_parquet(*_version(path)).metadata, columns) > whole:
        raise ValueError
    for batch in map(_plain, _batches(path, columns)):
        if batch.nbytes > most:
            raise ValueError
        batch.validate(full=True)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        _say(out, sink.getvalue().to_pybytes(), part=True)
        out.flush()
    _say(out, part=False)


def _batches(path: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    if _is_parquet(path):
        # The file alone: by a path, pyarrow would read folders called like key=value as columns too.
        yield from _parquet(*_version(path)).iter_batches(_ROWS_AT_ONCE, columns=columns, use_threads=False)
    else:
        yield from _arrow(*_version(path)).select(columns).to_batches(_ROWS_AT_ONCE)


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same values, each of which takes the memory that it says: none stands for many."""
    schema = pa.schema([pa.field(field.name, _plain_type(field.type)) for field in batch.schema])
    return batch if schema.equals(batch.schema) else batch.cast(schema)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        return pa.large_string() if pa.types.is_string_view(kind) else pa.large_binary()
    if pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind) or pa.types.is_list(kind):
        return pa.list_(_plain_type(kind.value_type))
    if pa.types.is_large_list(kind):
        return pa.large_list(_plain_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(each.name, _plain_type(each.type)) for each in kind])
    return kind


def _cell(out: BinaryIO, path: str, column: str, row: int) -> None:
    """Send the picture of a row: its bytes, or the name of a file."""
    value = _value(path, column, row)
    given = value.get("bytes") or value.get("path") if isinstance(value, dict) else value
    if isinstance(given, bytes):
        _say(out, given, kind="bytes")
    elif isinstance(given, str):
        _say(out, kind="name", name=given)
    else:
        _say(out, kind="none")


def _value(path: str, column: str, row: int) -> Any:
    version = _version(path)
    if not _is_parquet(path):
        return _arrow(*version).column(column)[row].as_py()
    metadata = _parquet(*version).metadata
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if row < rows:
            unpacked = _unpacked(metadata.row_group(group), [column])
            if unpacked > _LARGEST_GROUP:
                raise ValueError
            if unpacked > _LARGEST_KEPT:
                _row_group.cache_clear()
            return _row_group(version, column, group)[row].as_py()
        row -= rows
    raise IndexError(row)


def _is_parquet(path: str) -> bool:
    return path.lower().endswith(".parquet")


def _version(path: str) -> tuple[str, int, int]:
    """A file as it now is: what was read of it before it was written anew is not taken for it."""
    found = os.stat(path)  # noqa: PTH116
    return path, found.st_mtime_ns, found.st_size


@lru_cache(maxsize=4)
def _arrow(path: str, changed: int, size: int) -> pa.Table:
    """A table of Arrow's stream or file format, mapped into memory, and valid in full."""
    try:
        table = pa.ipc.open_stream(pa.memory_map(path)).read_all()
    except pa.ArrowInvalid:
        table = pa.ipc.open_file(pa.memory_map(path)).read_all()
    table.validate(full=True)
    return table


@lru_cache(maxsize=4)
def _parquet(path: str, changed: int, size: int) -> pq.ParquetFile:
    # By a buffer: without one, what lies in the file of a column is in memory as a whole.
    return pq.ParquetFile(path, buffer_size=_BUFFER)


def _unpacked(group: pq.RowGroupMetaData, columns: list[str]) -> int:
    """The bytes that some columns have in a row group, by what the file says of itself."""
    chunks = map(group.column, range(group.num_columns))
    names = tuple(f"{name}." for name in columns)
    return sum(chunk.total_uncompressed_size for chunk in chunks if f"{chunk.path_in_schema}.".startswith(names))


def _all_unpacked(file: pq.FileMetaData, columns: list[str]) -> int:
    return sum(_unpacked(file.row_group(number), columns) for number in range(file.num_row_groups))


@lru_cache(maxsize=4)
def _row_group(version: tuple[str, int, int], column: str, group: int) -> pa.ChunkedArray:
    """One column of a row group: the least of a Parquet file that can be read."""
    return _parquet(*version).read_row_group(group, columns=[column], use_threads=False).column(column)


_DO: dict[str, Callable[..., None]] = {"columns": _columns, "rows": _rows, "cell": _cell}

if __name__ == "__main__":
    main()
