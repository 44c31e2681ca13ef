"""Files of questions, row by row: a large one takes no more memory than what is kept of it."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any, BinaryIO

from profcore.errors import UserError
from profcore.paths import open_regular
from profcore.spec.limits import FILE_VARIABLE, MOST_VALUES, largest_file
from profcore.spec.text import clean_values, json_values, parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_ROWS = 1_000_000
"""Rows of a file of questions, more than any published data set has."""

MOST_NAMED = 1000
"""Rows with one fault that are looked for before a file is refused for it."""

LONGEST_ROW = 4_000_000
"""Letters of a row."""

_READ_AT_ONCE = 16_000_000
# Of a larger file: bytes that are parsed at once, and what an object of a list may hold. The parser looks again at all
# that came of a text so far with each part of it, so a text must not have many parts.
_READ_BY, _LONGEST_ITEM, _MOST_BEGUN = 32_768, 1_000_000, 4096


class NoJsonError(Exception):
    """A file holds no JSON that is read here."""


def opened(path: Path) -> BinaryIO:
    """A file of at most the size that may be read.

    Raises:
        UserError: It cannot be opened, is no regular file, or is larger.
    """
    try:
        file = open_regular(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    size, most = os.fstat(file.fileno()).st_size, largest_file()
    if size > most:
        file.close()
        raise UserError(f"{path} has {size / 1e6:,.0f} MB: at most {most / 1e6:,.0f} are read, or set {FILE_VARIABLE}.")
    return file


def text_lines(path: Path, newline: str) -> Iterator[str]:
    r"""The lines of a text file, with their ends.

    Args:
        path: The file.
        newline: What ends a line, as of `open`: '\n' for that alone, '' for every end.

    Raises:
        UserError: It cannot be read, is no text in UTF-8, or has a line or lines beyond all bounds.
    """
    with opened(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline=newline) as text:
        number = 0
        try:
            while line := text.readline(LONGEST_ROW):
                number += 1
                if len(line) == LONGEST_ROW:
                    raise UserError(f"{path}: line {number} has more than {LONGEST_ROW / 1e6:g} million letters.")
                if number > MOST_ROWS:
                    raise UserError(f"{path} has more than {MOST_ROWS:,} lines.")
                yield line
        except UnicodeDecodeError:
            raise UserError(f"{path} is no text file in UTF-8.") from None
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}.") from None


def json_list(path: Path, name: str) -> Iterator[Any]:
    """The items of the list that a JSON object holds under a name; of a large file, none is kept here.

    Raises:
        UserError: The file cannot be read, or has no such list.
        NoJsonError: It is no JSON, or holds an item beyond all bounds; perhaps only after some items.
    """
    with opened(path) as file:
        if os.fstat(file.fileno()).st_size > _READ_AT_ONCE:
            yield from _streamed(file, name)
            return
        data = file.read()
    if json_values(data) > MOST_VALUES:
        yield from _streamed(io.BytesIO(data), name)
        return
    try:
        document = parse_json(data.removeprefix(b"\xef\xbb\xbf"))
    except ValueError:
        raise NoJsonError from None
    rows = document.get(name) if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise UserError(f"{path} is no {name} file of VQA: it needs a list called {name}.")
    yield from rows


class _Metered:
    """A file of which only so much may be read, and only so many lists and objects begun, without an item coming of it.

    The parser names each place by its whole way there, so that depth alone would fill the memory.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._read = self._begun = 0

    def item(self) -> None:
        """An item came of what was read."""
        self._read = self._begun = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._read += len(data)
        self._begun += data.count(b"[") + data.count(b"{")
        if self._read > _LONGEST_ITEM or self._begun > _MOST_BEGUN:
            raise NoJsonError
        return data


def _streamed(file: BinaryIO, name: str) -> Iterator[Any]:
    # A machine that only measures has no such files.
    import ijson

    metered = _Metered(file)
    try:
        for number, item in enumerate(ijson.items(metered, f"{name}.item", use_float=True, buf_size=_READ_BY)):
            if number >= MOST_ROWS:
                raise NoJsonError
            metered.item()
            yield clean_values(item)
    except (ijson.JSONError, ValueError, RecursionError):
        raise NoJsonError from None
