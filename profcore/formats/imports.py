"""Importing files that a person gives: spools from elsewhere, profiling and Motivation results.

Whatever it is becomes a spool beside the database, and the store, if it is ours to open, takes it in from there. What
is imported here the store can hold: both ask `storage.validation`.
"""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profcore.errors import FormatError
from profcore.formats import read_result, zeros_note
from profcore.paths import open_regular
from profcore.spec.text import parse_json
from profcore.storage.spool import is_being_written, spool_path
from profcore.storage.store import check_spool, check_storable, take_in_on_trial
from profcore.storage.whole import draft

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from profcore.storage.store import CheckedSpool

LARGEST_IMPORT = 50_000_000_000
"""Bytes of a file that a command or a notebook takes in; a pipe or a device has no end to wait for."""

_SHORT_LINE = 1_000_000
_FIRST_LINE = re.compile(rb'\s*\{\s*"type"\s*:\s*"(run|import)"')


@dataclass(frozen=True)
class Import:
    """A file known by its content, as a spool.

    Attributes:
        run_id: The run it holds.
        spool: What its spool will hold; None where that is there already.
        name: What the file is called.
        note: What a person should know of it, or nothing.
    """

    run_id: str
    spool: bytes | None
    name: str
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
        return Import(found.run_id, None, name, note)
    lines = [json.dumps(record, ensure_ascii=False, separators=(",", ":")) for record in found.records]
    return Import(found.run_id, ("\n".join(lines) + "\n").encode(), name, note)


def write_imports(found: Sequence[Import], spools: Path) -> None:
    """Write imports into the spool directory, all or none, once a database has taken each in on trial.

    Raises:
        FormatError: No database takes one in; nothing is left behind.
        OSError: One cannot be written; nothing is left behind.
    """
    with ExitStack() as drafts:
        places = []
        for each in found:
            if each.spool is not None:
                place = spool_path(spools, each.run_id)
                part = drafts.enter_context(draft(place, each.spool))
                take_in_on_trial(part, each.run_id, each.name)
                places.append((part, place))
        for part, place in places:
            part.replace(place)


def write_import(found: Import, spools: Path) -> None:
    """As `write_imports`, of one."""
    write_imports([found], spools)


def _is_spool(data: bytes) -> bool:
    head = data[: data.find(b"\n") + 1 or None]
    if len(head) > _SHORT_LINE:
        # Too long to be read twice; whoever writes a spool begins its lines with their type.
        return bool(_FIRST_LINE.match(head, 0, _SHORT_LINE))
    try:
        first = parse_json(head)
    except ValueError:
        return False
    return isinstance(first, dict) and first.get("type") in ("run", "import")


def _read_spool(data: bytes, name: str, spools: Path) -> Import:
    whole = data[: data.rfind(b"\n") + 1]
    found = check_spool(whole, name)
    if found.first["type"] != "run":
        raise FormatError(f"{name} holds results imported elsewhere: import the file that they came from.")
    run_id = found.first["id"]
    path = spool_path(spools, run_id)
    if path.exists():
        with open_regular(path) as file:
            there = file.read(len(whole) + 1)
        if there.startswith(whole):
            return Import(run_id, None, name)
        if not whole.startswith(there) or is_being_written(path):
            raise FormatError(f"{name} differs from what is already here of run {run_id}.")
    return Import(run_id, whole, name, _note(found))


def _note(found: CheckedSpool) -> str:
    """What to know of a spool."""
    notes = [] if found.state is not None and found.state.ended else ["The run in it has not ended."]
    if found.left_out:
        lines = "1 line of it is" if found.left_out == 1 else f"{found.left_out:,} lines of it are"
        notes.append(f"{lines} left out, since nothing can be read there.")
    return " ".join(notes)
