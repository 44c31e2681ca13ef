"""The lines of a spool as records, a part at a time: whatever lies in a file, little of it is in memory at once.

A part ends with a whole line, so that whoever takes it in knows the byte to go on from.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from profcore.errors import FormatError
from profcore.paths import open_regular
from profcore.spec.limits import MOST_VALUES, largest_file, most_result_values
from profcore.spec.text import json_values, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Record = dict[str, Any]

PART = 1_000_000
"""Bytes that are read at a time; a longer line is read alone."""
_LONGEST = 8_000_000
"""Bytes of a line after the first: a sample of half a million decode steps."""


@dataclass(frozen=True)
class Chunk:
    """Records read from a spool, and the byte offset after the last whole line."""

    records: list[Record]
    offset: int


@dataclass(frozen=True)
class Lines:
    """Some whole lines of a spool.

    Attributes:
        records: A record for each line; None for one that is no record.
        offset: The byte offset after the last of them.
    """

    records: list[Record | None]
    offset: int


def read_lines(path: Path, offset: int = 0) -> Lines:
    """The next whole lines of a spool from a byte offset on, each by itself; none where no line is whole yet.

    Raises:
        OSError: It cannot be read, or is no regular file.
    """
    with open_regular(path) as file:
        file.seek(offset)
        data = file.read(PART)
        end = data.rfind(b"\n") + 1
        if end or len(data) < PART:
            return Lines(split_records(data[:end]), offset + end)
        return _long_line(file, offset, data)


def each_record(path: Path) -> Iterator[Record | None]:
    """All records of a spool; None for a line that is none.

    Raises:
        OSError: As `read_lines`.
    """
    for lines in _parts(path):
        yield from lines.records


def records_of_kinds(path: Path, *kinds: str) -> list[Record]:
    """The records of some kinds; lines that name none of them are not read as JSON.

    Raises:
        OSError: As `read_lines`.
    """
    names = [f'"{kind}"'.encode() for kind in kinds]
    found: list[Record] = []
    with open_regular(path) as file:
        # A whole line at most; what is cut off a longer one is no record.
        while line := file.readline(_LONGEST):
            if line.endswith(b"\n") and any(name in line for name in names):
                record = _record(line)
                found += [record] if record and record["type"] in kinds else []
    return found


def read_from(path: Path, offset: int = 0) -> Chunk:
    """The whole lines of a spool from a byte offset on; a line still being written is left for later.

    Raises:
        FormatError: A line is no JSON object with a type.
        OSError: As `read_lines`.
    """
    records: list[Record] = []
    end = offset
    for lines in _parts(path, offset):
        for record in lines.records:
            if record is None:
                where = f" after byte {offset}" if offset else ""
                raise FormatError(f"{path.name} is not a spool: line {len(records) + 1}{where} is no record.")
            records.append(record)
        end = lines.offset
    return Chunk(records, end)


def split_parts(data: bytes) -> Iterator[list[Record | None]]:
    """A record for each whole line of what is in memory, some lines at a time."""
    begin, whole = 0, data.rfind(b"\n") + 1
    while begin < whole:
        end = data.rfind(b"\n", begin, min(begin + PART, whole)) + 1 or data.find(b"\n", begin) + 1
        part = data[begin:end]
        yield split_records(part) if len(part) <= PART else [_bounded(part, is_first=begin == 0)]
        begin = end


def split_records(data: bytes) -> list[Record | None]:
    """A record for each line of at most a part; None for one that is no JSON object with a type."""
    lines = data.removesuffix(b"\n").split(b"\n") if data else []
    # One array is read several times as fast as many lines; which line is wrong is looked for only when one is.
    with suppress(ValueError):
        records = parse_json(b"[" + b",".join(lines) + b"]")
        if len(records) == len(lines) and all(map(_is_record, records)):
            return records
    return [_record(line) for line in lines]


def _parts(path: Path, offset: int = 0) -> Iterable[Lines]:
    while (lines := read_lines(path, offset)).offset > offset:
        yield lines
        offset = lines.offset


def _long_line(file: IO[bytes], offset: int, data: bytes) -> Lines:
    """The one line that begins with more than a part; its record, if it may be as long and is one.

    A first line that is too long is none at once: nothing after it could be stored.
    """
    is_first = offset == 0
    longest, most = _bounds(is_first)
    kept, size, values = [data], len(data), json_values(data)
    while True:
        too_long = size > longest or values > most or not data.lstrip().startswith(b"{")
        if too_long:
            kept = []
            if is_first:
                return Lines([None], size)
        if not (chunk := file.read(PART)):
            return Lines([], offset)
        end = chunk.find(b"\n") + 1
        chunk = chunk[:end] if end else chunk
        size, values = size + len(chunk), values + json_values(chunk)
        kept += [] if too_long else [chunk]
        if end:
            return Lines([None if too_long else _bounded(b"".join(kept), is_first)], offset + size)


def _bounded(line: bytes, is_first: bool) -> Record | None:
    """The record of a line longer than a part."""
    longest, most = _bounds(is_first)
    return None if len(line) > longest or json_values(line) > most else _record(line)


def _bounds(is_first: bool) -> tuple[int, int]:
    """Bytes and values that a line may hold; the first names every setting, or every picture, of its run."""
    return (largest_file(), most_result_values()) if is_first else (_LONGEST, MOST_VALUES)


def _record(line: bytes) -> Record | None:
    # Whatever else a line begins with, as of a file of empty ones, is not worth reading.
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        record = parse_json(line)
    except ValueError:
        return None
    return record if _is_record(record) else None


def _is_record(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("type"), str)
