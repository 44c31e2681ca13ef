"""Questions in SQL over the results: a copy of the database, asked by a process of its own that can do nothing else."""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from profcore.errors import StoreError
from profcore.paths import REPOSITORY
from profcore.storage.sql_rules import TABLES, QueryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profcore.storage.read import Reader

_log = logging.getLogger(__name__)

# What an interpreter may need to find its libraries; nothing else of the environment is handed on.
_HANDED_ON = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_DTYPES = {"truth": "boolean", "whole": "Int64", "number": "float64", "text": "object"}
# More than the process itself waits until it is ready (see `profcore.storage.sandbox`).
_START_S = 70.0
_BUSY = "Another query is being answered: ask again in some seconds."


@dataclass(frozen=True)
class Limits:
    """What one query may take.

    Attributes:
        seconds: Wall time, starting the process left out.
        megabytes: Memory of DuckDB.
        rows: Of the answer; what is beyond is left out, and that is said.
        columns: Of the answer.
        answer_megabytes: All text of the answer together.
    """

    seconds: float = 10.0
    megabytes: int = 512
    rows: int = 10_000
    columns: int = 200
    answer_megabytes: int = 10


@dataclass(frozen=True)
class Answer:
    """What a query gave.

    Attributes:
        table: Its rows; whole numbers beyond 64 bits, times and lists as text, column names told apart.
        more: Whether there were more rows than are given.
        seconds: How long it took, starting the process included.
        copied_at: When the results that were asked had been copied (UTC).
    """

    table: pd.DataFrame
    more: bool
    seconds: float
    copied_at: datetime


class Questioner:
    """Answers queries over the results of a store, one at a time, from any thread."""

    def __init__(self, store: Reader, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._store = store
        self._answering = threading.Lock()
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        # The number of the changes that the copy holds, where it lies and when it was made.
        self._copy: tuple[int, Path, datetime] | None = None

    def ask(self, query: str) -> Answer:
        """Answer a query.

        Raises:
            QueryError: It is none that is answered here, takes too much, or another one is being answered.
            StoreError: The results cannot be copied.
        """
        if not query.strip():
            raise QueryError("The query is empty: write a SELECT.")
        try:
            query.encode()
        except UnicodeEncodeError:
            raise QueryError("The query is no text in UTF-8: write it as such.") from None
        if not self._answering.acquire(timeout=self.limits.seconds):
            raise QueryError(_BUSY)
        try:
            path, copied_at = self._newest_copy()
            begin = time.perf_counter()
            told = _run(path, query, self.limits)
            return Answer(_table(told), told["more"], time.perf_counter() - begin, copied_at)
        finally:
            self._answering.release()

    def close(self) -> None:
        """Remove the copy; a query that is being answered is waited for."""
        with self._answering:
            if self._directory:
                self._directory.cleanup()
            self._directory = self._copy = None

    def _newest_copy(self) -> tuple[Path, datetime]:
        """A copy of the results as they stand, made anew where they have changed."""
        # Asked for each time, since a rebuilt store has another.
        connection = self._store.connection
        changes = connection.changes
        if self._copy is None or self._copy[0] != changes:
            path = self._place() / f"results-{changes}.duckdb"
            now = datetime.now(UTC)
            try:
                connection.snapshot(path, TABLES)
            except OSError as error:
                raise StoreError(f"The results cannot be copied for a query: {error.strerror}.") from None
            if self._copy:
                self._copy[1].unlink(missing_ok=True)
            self._copy = (changes, path, now)
        return self._copy[1], self._copy[2]

    def _place(self) -> Path:
        if self._directory is None:
            try:
                self._directory = tempfile.TemporaryDirectory(prefix="profcore-sql-")
            except OSError as error:
                raise StoreError(f"The results cannot be copied for a query: {error.strerror}.") from None
        return Path(self._directory.name)


@contextmanager
def asking(store: Reader, limits: Limits | None = None) -> Iterator[Questioner]:
    """A questioner whose copy is removed at the end."""
    questioner = Questioner(store, limits)
    try:
        yield questioner
    finally:
        questioner.close()


def _run(path: Path, query: str, limits: Limits) -> dict[str, Any]:
    """What the process said, or why it said nothing.

    Raises:
        QueryError: As `Questioner.ask`.
    """
    limits = replace(limits, seconds=max(1, round(limits.seconds)))
    request = json.dumps({"database": str(path), "query": query, "limits": asdict(limits)})
    ran_before = _ran_s()
    environment = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "profcore.storage.sandbox"],
            input=request.encode() + b"\n",
            capture_output=True,
            timeout=_START_S + limits.seconds,
            cwd=REPOSITORY,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise QueryError("This machine is too busy to answer a query: ask again later.") from None
    if done.returncode == -signal.SIGALRM:
        ran = _ran_s() - ran_before
        busy = f", of which it ran for {ran:.1f} s: this machine may be busy" if ran < limits.seconds / 2 else ""
        raise QueryError(f"The query took longer than {limits.seconds:g} s and was ended{busy}: ask for less at once.")
    try:
        told = json.loads(done.stdout)
    except ValueError:
        _log.info("A query ended its process (status %d): %s", done.returncode, done.stderr.decode(errors="replace"))
        raise QueryError(
            f"The query ended the process that answered it, as one does that takes more than {limits.megabytes} MB or "
            "is nested too deeply: ask for less at once."
        ) from None
    if "error" in told:
        raise QueryError(told["error"])
    return told


def _ran_s() -> float:
    """Seconds of a processor that all processes had which this one started and which have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _table(told: dict[str, Any]) -> pd.DataFrame:
    """The rows as a frame whose columns have one type each and names of their own."""
    names = _told_apart([column["name"] for column in told["columns"]])
    values = list(zip(*told["rows"], strict=True)) or [()] * len(names)
    columns = zip(names, values, told["columns"], strict=True)
    return pd.DataFrame({name: _series(list(cells), column["kind"]) for name, cells, column in columns})


def _series(cells: list[Any], kind: str) -> pd.Series:
    try:
        return pd.Series(cells, dtype=_DTYPES[kind])
    except (OverflowError, TypeError, ValueError):
        # A whole number of more than 64 bits is kept as it is written, not rounded.
        return pd.Series([None if cell is None else str(cell) for cell in cells], dtype="object")


def _told_apart(names: list[str]) -> list[str]:
    """Names of columns, each another: the second of a name ends in `_2`, as far as that is free."""
    taken: list[str] = []
    for name in names:
        number, own = 1, name
        while own in taken:
            number += 1
            own = f"{name}_{number}"
        taken.append(own)
    return taken
