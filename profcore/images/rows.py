"""A picture that lies in a row of a table: Parquet, or Arrow as the `datasets` library saves it; needs no torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from profcore.errors import ImageError, UserError
from profcore.paths import ANYWHERE, Roots, inside, read_regular
from profcore.spec.limits import FILE_VARIABLE, LARGEST_PICTURE_FILE, largest_file

LONGEST_PART = 16_000_000
"""Bytes of questions and answers that are held at once, of a few hundred rows."""


def read_picture(place: str, roots: Roots = ANYWHERE) -> bytes:
    """A picture's file content, from its place 'path|column|row' in a table.

    Args:
        place: Where it is.
        roots: What a link beside the table may lead to.

    Raises:
        ImageError: There is none there.
    """
    path, column, row = place.rsplit("|", 2)
    try:
        answer, data = _CHILD.ask(path, do="cell", column=column, row=int(row))
    except (OSError, ValueError):
        raise ImageError(f"There is no picture in row {row} of {path}.") from None
    if answer["kind"] == "bytes":
        return data
    file = inside(Path(path).parent, answer["name"]) if answer.get("name") else None
    if file is None or not roots.holds(file):
        raise ImageError(f"Row {int(row) + 1} of {Path(path).name} holds no picture, nor the name of one beside it.")
    try:
        return read_regular(file, LARGEST_PICTURE_FILE)
    except (OSError, ValueError):
        raise ImageError(f"There is no picture {file.name!r} beside {Path(path).name}.") from None


def table_columns(file: Path) -> tuple[list[str], int]:
    """The names of a table's columns, and how many rows it has.

    Raises:
        UserError: It cannot be read, or is damaged.
    """
    try:
        answer, _ = _CHILD.ask(str(file), do="columns")
    except OSError:
        raise _unreadable(file) from None
    return answer["columns"], answer["rows"]


def table_rows(file: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of some columns of a table, of which no more than a part is held at once.

    Raises:
        UserError: They cannot be read, or hold more than a file of questions may.
    """
    # In memory texts are larger than in their file.
    held, most = 0, largest_file() // 2
    try:
        for part in _CHILD.parts(str(file), do="rows", columns=list(columns), most=LONGEST_PART, whole=most):
            held += len(part)
            if held > most:
                raise UserError(f"{file} holds more than {most / 1e6:,.0f} MB of questions: set {FILE_VARIABLE}.")
            yield from pa.ipc.open_stream(part).read_all().to_pylist()
    # Arrow's errors, and those of values that Python has no like of, such as dates beyond its calendar.
    except (OSError, pa.ArrowException, ArithmeticError, LookupError, ValueError, TypeError, MemoryError):
        raise _unreadable(file) from None


def _unreadable(file: Path) -> UserError:
    return UserError(f"{file} cannot be read as a table: it is damaged, of another kind, or beyond all bounds.")


class _Child:
    """The process that opens tables (see `profcore.images.row_child`), started when it is first asked."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def ask(self, path: str, **request: Any) -> tuple[dict[str, Any], bytes]:
        """An answer and the bytes that come with it.

        Raises:
            OSError: The file cannot be read, or ended the process.
        """
        with self._lock:
            self._send(path, request)
            return self._receive()

    def parts(self, path: str, **request: Any) -> Iterator[bytes]:
        """The parts of an answer, each taken while the next is made.

        Raises:
            OSError: As `ask`.
        """
        with self._lock:
            self._send(path, request)
            whole = False
            try:
                while not whole:
                    answer, data = self._receive()
                    whole = not answer["part"]
                    if not whole:
                        yield data
            finally:
                # What is still to come of an answer nobody waits for would be taken for the next one's.
                if not whole:
                    self._end()

    def _send(self, path: str, request: dict[str, Any]) -> None:
        if self._process is None or self._process.poll() is not None:
            self._end()
            script = str(Path(__file__).with_name("row_child.py"))
            # -P: the script's folder holds modules of ours, not libraries.
            command = [sys.executable, "-P", script]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        assert self._process.stdin
        line = json.dumps({**request, "path": os.path.abspath(path)})  # noqa: PTH100  as text
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            self._end()
            raise

    def _receive(self) -> tuple[dict[str, Any], bytes]:
        assert self._process
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            self._end()
            raise OSError("the process that read it has ended")
        answer = json.loads(line)
        data = self._process.stdout.read(answer["bytes"])
        if len(data) != answer["bytes"]:
            self._end()
            raise OSError("the process that read it has ended")
        if answer.get("error"):
            raise OSError("it cannot be read")
        return answer, data

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe:
                    pipe.close()


_CHILD = _Child()
