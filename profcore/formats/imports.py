"""Importing files that a person gives: spools from elsewhere, profiling and Motivation results.

Whatever it is becomes a spool beside the database, and the store, if it is ours to open, takes it in from there. What
is imported here the store can hold: both ask `storage.validation`.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import re
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from profcore.errors import FormatError
from profcore.formats import read_result, zeros_note
from profcore.formats.joint_folder import joint_folders, parted_by_content, read_joint_folder
from profcore.formats.joint_out import RUN_FILE
from profcore.formats.members import LARGEST_UNPACKED, folder_members, is_zip, zip_members
from profcore.paths import open_regular, read_regular
from profcore.spec.runs import RunSpec
from profcore.spec.shards import same_run
from profcore.spec.text import parse_json
from profcore.storage.spool import is_being_written, read_spec, spool_path
from profcore.storage.trial import check_spool, check_storable, take_in_on_trial
from profcore.storage.whole import draft

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from profcore.formats.joint_folder import JointFolder
    from profcore.formats.members import Member
    from profcore.storage.lines import Record
    from profcore.storage.trial import CheckedSpool

LARGEST_IMPORT = 50_000_000_000
"""Bytes of a file that a command or a notebook takes in; a pipe or a device has no end to wait for."""

_SHORT_LINE = 1_000_000
_COPIED = 4_000_000
_TRIED = 1000
_FIRST_LINE = re.compile(rb'\s*\{\s*"type"\s*:\s*"(run|import)"')


@dataclass(frozen=True)
class Import:
    """A file known by its content, as a spool.

    Attributes:
        run_id: The run it holds.
        spool: What its spool will hold; None where that is there already, or lies in a draft.
        name: What the file is called.
        note: What a person should know of it, or nothing.
        draft: A file beside its spool's place with what that will hold, of what is too large for memory.
    """

    run_id: str
    spool: bytes | None
    name: str
    note: str = ""
    draft: Path | None = None

    @property
    def new(self) -> bool:
        """Whether anything in it was not there before."""
        return self.spool is not None or self.draft is not None


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
    note = " ".join(filter(None, (zeros_note(found.zeros), *found.notes)))
    if spool_path(spools, found.run_id).exists():
        return Import(found.run_id, None, name, note)
    lines = [json.dumps(record, ensure_ascii=False, separators=(",", ":")) for record in found.records]
    return Import(found.run_id, ("\n".join(lines) + "\n").encode(), name, note)


@contextmanager
def reading_path(path: Path, spools: Path) -> Iterator[list[Import]]:
    """What a file, a zip of files or a folder of them holds; drafts that were not written are gone at the end.

    Raises:
        FormatError: As `read_import`; of several files nothing is given if one cannot be read.
        OSError: It cannot be read.
    """
    with ExitStack() as held:
        if path.is_dir():
            yield _read_members(folder_members(path), path.resolve().name or str(path), spools, held)
            return
        with open_regular(path) as file:
            zipped = is_zip(file.read(4))
            if zipped:
                file.seek(0)
                yield _read_members(zip_members(file, str(path)), path.name, spools, held)
        if not zipped:
            yield [read_import(read_regular(path, LARGEST_IMPORT), str(path), spools)]


@contextmanager
def reading_data(data: bytes, name: str, spools: Path, largest: int = LARGEST_UNPACKED) -> Iterator[list[Import]]:
    """As `reading_path`, of what was given as content: a file, or a zip of files of at most so many bytes.

    Raises:
        FormatError: As `reading_path`.
    """
    with ExitStack() as held:
        if is_zip(data[:4]):
            yield _read_members(zip_members(io.BytesIO(data), name, largest), name, spools, held)
        else:
            yield [read_import(data, name, spools)]


def _read_members(members: list[Member], name: str, spools: Path, held: ExitStack) -> list[Import]:
    """What some files hold: each campaign of joint results as one run, and every other file by itself."""
    folders, others = joint_folders(members, name)
    unnamed, others = parted_by_content(others, name)
    found = [_read_folder(folder, spools, held) for folder in (*folders, *unnamed)]
    for member in others:
        # What a zip of this project says of each of its runs beside the files that hold it.
        if member.name.rpartition("/")[2] != RUN_FILE:
            found.append(read_import(member.read(), f"{name}: {member.name}", spools))
    if not found:
        raise FormatError(f"{name} holds no result: it needs result files or spools.")
    return list({each.run_id: each for each in found}.values())


def _read_folder(folder: JointFolder, spools: Path, held: ExitStack) -> Import:
    """A campaign as a draft of its spool."""
    samples, whole = _part(spools, held), _part(spools, held)
    with samples.open("wb") as file:
        made = read_joint_folder(folder, file)
    note = " ".join(filter(None, (zeros_note(made.zeros), *made.notes)))
    if spool_path(spools, made.run_id).exists():
        return Import(made.run_id, None, folder.name, note)
    check_storable([made.first, *made.rest], folder.name)
    with whole.open("wb") as file:
        file.write(_line(made.first))
        with samples.open("rb") as written:
            shutil.copyfileobj(written, file, _COPIED)
        file.writelines(map(_line, made.rest))
        file.flush()
        os.fsync(file.fileno())
    samples.unlink()
    return Import(made.run_id, None, folder.name, note, whole)


def _part(spools: Path, held: ExitStack) -> Path:
    """An empty file beside the spools, which is gone at the end unless it was moved."""
    spools.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=spools, prefix="import.", suffix=".part")
    os.close(number)
    held.callback(Path(name).unlink, missing_ok=True)
    return Path(name)


def _line(record: Record) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def write_imports(found: Sequence[Import], spools: Path) -> None:
    """Write imports into the spool directory, all or none, once a database has taken each in on trial.

    A draft is tried by its first lines alone: each of its samples was read by the rules by which they are stored, and
    a database of all of them would take as much memory as they do.

    Raises:
        FormatError: No database takes one in; nothing is left behind.
        OSError: One cannot be written; nothing is left behind.
    """
    with ExitStack() as drafts:
        places = []
        for each in found:
            place = spool_path(spools, each.run_id)
            if each.spool is not None:
                part = drafts.enter_context(draft(place, each.spool))
                take_in_on_trial(part, each.run_id, each.name)
                places.append((part, place))
            elif each.draft is not None:
                head = drafts.enter_context(draft(place, _head(each.draft)))
                take_in_on_trial(head, each.run_id, each.name)
                places.append((each.draft, place))
        for part, place in places:
            part.replace(place)


def _head(path: Path) -> bytes:
    """The first lines of a draft, whole."""
    with path.open("rb") as file:
        first = file.readline()
        return first + b"".join(itertools.islice(file, _TRIED))


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
    part = _part_of_run(found.first, name, spools) if found.first.get("shard") else ""
    return Import(run_id, whole, name, " ".join(filter(None, (part, _note(found)))))


def _part_of_run(first: Record, name: str, spools: Path) -> str:
    """Of which run a shard is a part, in a sentence.

    Raises:
        FormatError: Other shards by that run's id are here, and it is no part of theirs.
    """
    spec = RunSpec.from_dict(first)
    assert spec.shard
    for path in sorted(spools.glob(f"{spec.shard.campaign}-s*.jsonl")):
        try:
            other = read_spec(path)
        except FormatError:
            continue
        if other.shard is None or other.shard.campaign != spec.shard.campaign or other.id == spec.id:
            continue
        differ = same_run(other, spec) or (["which is here already"] if other.shard.index == spec.shard.index else [])
        if not differ and set(other.shard.own) & set(spec.shard.own):
            differ = [f"settings of it are those of shard {other.shard.index}"]
        if differ:
            raise FormatError(
                f"{name} is {spec.shard.words} of run {spec.shard.campaign}, but no part of what is here by that id "
                f"({', '.join(differ)})."
            )
    return f"It is {spec.shard.words} of run {spec.shard.campaign}."


def _note(found: CheckedSpool) -> str:
    """What to know of a spool."""
    notes = [] if found.state is not None and found.state.ended else ["The run in it has not ended."]
    if found.left_out:
        lines = "1 line of it is" if found.left_out == 1 else f"{found.left_out:,} lines of it are"
        notes.append(f"{lines} left out, since nothing can be read there.")
    return " ".join(notes)
