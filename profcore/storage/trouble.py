"""What DuckDB raises, as one sentence that says what is wrong with the database and how to go on."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import duckdb

from profcore.errors import StoreDamagedError, StoreError, StoreFullError, StoreHeldError, StoreValueError

if TYPE_CHECKING:
    from pathlib import Path

_HELD = "IO Error: Could not set lock on file"
_NO_DATABASE = "not a valid duckdb"
_FULL = ("no space left", "disk quota exceeded", "file too large", "could not allocate block", "temp_directory_size")
_FORBIDDEN = ("permission denied", "operation not permitted", "read-only file system", "in read-only mode")
# What is asked of DuckDB is right, so whatever else it raises comes of what the file holds.
_OF_VALUES = (duckdb.DataError, duckdb.IntegrityError)
_PASSING = (duckdb.OutOfMemoryException, duckdb.InterruptException, duckdb.ConnectionException)


def rebuild_command(path: Path) -> str:
    """What a person types to have a new database made from the spools of this one."""
    return f"python -m profcore rebuild --db {shlex.quote(str(path))}"


def damaged(path: Path, how: str) -> StoreDamagedError:
    """That a database is damaged, and the way out."""
    return StoreDamagedError(f"{path} {how}: `{rebuild_command(path)}` makes a new one from its spools.")


def is_no_database(error: duckdb.Error) -> bool:
    """Whether DuckDB says of a file that it is none of its own."""
    return _NO_DATABASE in str(error).lower()


def store_error(error: duckdb.Error | OSError, path: Path) -> StoreError:
    """What DuckDB or the file system raised over a database, as a sentence for a person."""
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    # The path is no part of what is wrong, whatever words it is made of.
    reason = first.replace(str(path), "").lower()
    if first.startswith(_HELD):
        return StoreHeldError(f"{path} is held by another process, which takes spools in itself.")
    if any(word in reason for word in _FULL):
        return StoreFullError(f"No space left in {path.parent}: free some; what is in spools is taken in after that.")
    if any(word in reason for word in _FORBIDDEN):
        return StoreError(
            f"{path} cannot be read and written as a database needs it: give yourself both permissions on it and on "
            "its folder, or name another by --db or PROFCORE_DB."
        )
    if "version number" in reason:
        return StoreError(f"{path} was written by another version of DuckDB, which this one cannot read: update it.")
    if isinstance(error, _OF_VALUES) or "cannot encode" in reason or "surrogates not allowed" in reason:
        return StoreValueError(f"{path} cannot hold or read a value ({first}).")
    if isinstance(error, _PASSING):
        return StoreError(f"{path} did not answer ({type(error).__name__.removesuffix('Exception')}): try again.")
    if isinstance(error, OSError):
        return StoreError(f"{path} cannot be opened as a database: {error.strerror}.")
    return damaged(path, "is no DuckDB database, or what is left of one" if _NO_DATABASE in reason else "is damaged")
