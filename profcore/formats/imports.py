"""Importing files that a person gives: spools from elsewhere, profiling and Motivation results.

Whatever it is becomes a spool beside the database, and the store, if it is ours to open, takes it in from there. What
is imported here the store can hold: both ask `storage.validation`.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from profcore.errors import FormatError
from profcore.formats import read_result, zeros_note
from profcore.spec.stages import State
from profcore.spec.text import parse_json
from profcore.storage.spool import is_being_written, split_records, spool_path
from profcore.storage.store import check_spool, check_storable

if TYPE_CHECKING:
    from profcore.storage.spool import Record


@dataclass(frozen=True)
class Import:
    """A file known by its content, as a spool.

    Attributes:
        run_id: The run it holds.
        spool: What its spool will hold; None where that is there already.
        note: What a person should know of it, or nothing.
    """

    run_id: str
    spool: bytes | None
    note: str = ""

    @property
    def new(self) -> bool:
        """Whether anything in it was not there before."""
        return self.spool is not None


def read_import(data: bytes, name: str, spools: Path) -> Import:
    """What a file holds; writes nothing.

    Args:
        data: The file's content.
        name: What it is called.
        spools: The spool directory, to see what is there already.

    Raises:
        FormatError: It is neither a spool nor a result file, cannot be stored, or differs from what is there of its
            run. Of a spool single lines that cannot be read are left out, and said.
    """
    if _is_spool(data):
        return _read_spool(data, name, spools)
    found = read_result(data, name)
    check_storable(found.records, name)
    note = zeros_note(found.zeros)
    if spool_path(spools, found.run_id).exists():
        return Import(found.run_id, None, note)
    lines = [json.dumps(record, ensure_ascii=False, separators=(",", ":")) for record in found.records]
    return Import(found.run_id, ("\n".join(lines) + "\n").encode(), note)


def write_import(found: Import, spools: Path) -> None:
    """Write an import into the spool directory, whole or not at all."""
    if found.spool is None:
        return
    spools.mkdir(parents=True, exist_ok=True)
    # A name of its own: two that import the same file at once must not write into each other.
    number, part = tempfile.mkstemp(dir=spools, prefix=f"{found.run_id}.", suffix=".part")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(found.spool)
            os.fsync(file.fileno())
        Path(part).replace(spool_path(spools, found.run_id))
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def _is_spool(data: bytes) -> bool:
    try:
        first = parse_json(data[: data.find(b"\n") + 1 or None])
    except ValueError:
        return False
    return isinstance(first, dict) and first.get("type") in ("run", "import")


def _read_spool(data: bytes, name: str, spools: Path) -> Import:
    whole = data[: data.rfind(b"\n") + 1]
    records = split_records(whole)
    left_out = check_spool(records, name)
    first = records[0]
    assert first
    if first["type"] != "run":
        raise FormatError(f"{name} holds results imported elsewhere: import the file that they came from.")
    run_id = first["id"]
    path = spool_path(spools, run_id)
    if path.exists():
        there = path.read_bytes()
        if there.startswith(whole):
            return Import(run_id, None)
        if not whole.startswith(there) or is_being_written(path):
            raise FormatError(f"{name} differs from what is already here of run {run_id}.")
    return Import(run_id, whole, _note(records, left_out))


def _note(records: list[Record | None], left_out: int) -> str:
    """What to know of a spool."""
    ended = any(record and record["type"] == "state" and record.get("state") in _ENDED for record in records)
    notes = [] if ended else ["The run in it has not ended."]
    if left_out:
        lines = "1 line of it is" if left_out == 1 else f"{left_out} lines of it are"
        notes.append(f"{lines} left out, since nothing can be read there.")
    return " ".join(notes)


_ENDED = {str(state) for state in State if state.ended}
