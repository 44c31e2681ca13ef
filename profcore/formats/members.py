"""The files of a folder or of a zip, within bounds: neither is to fill memory or disk, or lead elsewhere."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from profcore.errors import FormatError
from profcore.paths import read_regular
from profcore.spec.limits import largest_file
from profcore.spec.text import whole_text

if TYPE_CHECKING:
    from collections.abc import Callable

ENDINGS = (".json", ".jsonl")
"""Of files that are read as results."""

MOST_MEMBERS = 20_000
LARGEST_UNPACKED = 20_000_000_000
"""Bytes of all files of a zip that a command takes in."""

LARGEST_RATIO = 200
"""How many times its size in a zip a file may have; results of a few digits shrink to a twentieth."""

_ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"


@dataclass(frozen=True)
class Member:
    """A file of a folder or zip.

    Attributes:
        name: Its path within.
        read: Gives its content; raises FormatError where it cannot be had.
    """

    name: str
    read: Callable[[], bytes]


def _is_result(name: str) -> bool:
    """Whether a file is to be read as results: not what macOS puts beside each file of a zip or of a foreign disk."""
    return name.lower().endswith(ENDINGS) and not PurePosixPath(name).name.startswith("._")


def is_zip(head: bytes) -> bool:
    """Whether a file that begins so is a zip."""
    return head[:4] in (_ZIP, _EMPTY_ZIP)


def folder_members(folder: Path) -> list[Member]:
    """The result files below a folder, in the order of their names; links to folders are not followed.

    Raises:
        FormatError: There is none, or there are too many.
    """
    paths: list[Path] = []
    for number, (place, folders, names) in enumerate(os.walk(folder)):
        folders.sort()
        if number > MOST_MEMBERS:
            raise FormatError(f"{folder} holds more than {MOST_MEMBERS:,} folders: give the one with the results.")
        paths += [Path(place) / name for name in sorted(names) if _is_result(name)]
        if len(paths) > MOST_MEMBERS:
            raise FormatError(f"{folder} holds more than {MOST_MEMBERS:,} files: give a folder of fewer.")
    files = [path for path in paths if path.is_file()]
    if not files:
        raise FormatError(f"{folder} holds no result file: it needs files that end in {' or '.join(ENDINGS)}.")
    return [Member(whole_text(path.relative_to(folder).as_posix()), _reader(path)) for path in files]


def _reader(path: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            return read_regular(path, largest_file())
        except OSError as error:
            raise FormatError(f"{whole_text(str(path))} cannot be read: {error.strerror}.") from None

    return read


def zip_members(file: IO[bytes], name: str, largest: int = LARGEST_UNPACKED) -> list[Member]:
    """The result files of a zip, in the order of their names.

    Args:
        file: The zip, open as long as its files are read.
        name: What it is called.
        largest: Bytes of all its files.

    Raises:
        FormatError: It is no zip, holds no result file, or what it says of its files is beyond the bounds.
    """
    try:
        archive = zipfile.ZipFile(file)
        entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError):
        raise FormatError(f"{name} is a zip that cannot be read: pack it again.") from None
    if len(entries) > MOST_MEMBERS:
        raise FormatError(f"{name} holds more than {MOST_MEMBERS:,} files: pack fewer.")
    if sum(entry.file_size for entry in entries) > largest:
        raise FormatError(f"{name} unpacks to more than {largest / 1e9:,.3g} GB: pack fewer files.")
    files = [entry for entry in entries if not entry.filename.endswith("/")]
    for entry in files:
        _check_entry(entry, name)
    chosen = sorted((entry for entry in files if _is_result(entry.filename)), key=lambda e: e.filename)
    if not chosen:
        raise FormatError(f"{name} holds no result file: it needs files that end in {' or '.join(ENDINGS)}.")
    return [Member(whole_text(entry.filename), _unpacker(archive, entry, name)) for entry in chosen]


def _check_entry(entry: zipfile.ZipInfo, name: str) -> None:
    """Whether a file of a zip is one to be read: no path out of it, no link, no secret, no bomb."""
    called = whole_text(entry.filename)[:60]
    path = PurePosixPath(entry.filename)
    if not path.parts:
        raise FormatError(f"{name} holds {called!r}, which is no name of a file: pack it again.")
    if (
        path.is_absolute()
        or ".." in path.parts
        or "\\" in entry.filename
        or "\0" in entry.filename
        or ":" in path.parts[0]
    ):
        raise FormatError(f"{name} holds {called!r}, whose path leads out of it: pack the files by their names.")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise FormatError(f"{name} holds {called!r}, which is a link: pack the file itself.")
    if entry.flag_bits & 1:
        raise FormatError(f"{name} is locked by a password: pack it without one.")
    if entry.file_size > LARGEST_RATIO * max(entry.compress_size, 1) and entry.file_size > 1_000_000:
        raise FormatError(f"{name} holds {called!r}, which unpacks to more than {LARGEST_RATIO} times its size.")


def _unpacker(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> Callable[[], bytes]:
    most = largest_file()

    def read() -> bytes:
        called = whole_text(entry.filename)[:60]
        if entry.file_size > most:
            raise FormatError(f"{called!r} in {name} has more than {most / 1e6:,.0f} MB.")
        try:
            with archive.open(entry) as file:
                # What it says of its size may be wrong: one byte more is found before anything is filled.
                data = file.read(entry.file_size + 1)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError, RuntimeError, zlib.error):
            raise FormatError(f"{called!r} in {name} is damaged: pack it again.") from None
        if len(data) > entry.file_size:
            raise FormatError(f"{called!r} in {name} is longer than the zip says: pack it again.")
        return data

    return read
