"""Locks on single bytes of a file, which their holder's death frees and which looking at never takes.

They belong to the opened file, so that another opening of it in the same process neither shares nor drops them, and lie
beyond what any file holds. A network file system may have none, or some that other machines do not see: there a lock
says nothing (see `are_told`). Standard library only.

Source: fcntl(2), "Open file description locks".
"""

from __future__ import annotations

import errno
import fcntl
import struct
import sys
import tempfile
from typing import IO, TYPE_CHECKING, Any

from profcore.paths import open_regular

if TYPE_CHECKING:
    from pathlib import Path

_FAR = 2**62
WRITER = _FAR
"""The byte that whoever appends to a file holds."""
OWNER = _FAR + 1
"""The byte that whoever is to see a run to its end holds, also while it waits and another process writes it."""

# Where the C library has them but this Python does not name them, as on macOS.
_SET = getattr(fcntl, "F_OFD_SETLK", 90)
_GET = getattr(fcntl, "F_OFD_GETLK", 92)
_IS_LINUX = sys.platform == "linux"
# What file systems without locks answer.
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


def take(file: IO[Any], place: int) -> bool:
    """Take a byte's lock for as long as the file stays open; returns whether nobody else had it, as far as is told.

    Args:
        file: Opened for writing.
        place: The byte.
    """
    try:
        fcntl.fcntl(file, _SET, _pack(fcntl.F_WRLCK, place))
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def is_held(path: Path, *places: int) -> bool:
    """Whether somebody holds the lock of any of these bytes; takes none of them."""
    with open_regular(path) as file:
        return any(_asked(file, place) for place in places)


def _asked(file: IO[Any], place: int) -> bool:
    try:
        return _kind(fcntl.fcntl(file, _GET, _pack(fcntl.F_WRLCK, place))) != fcntl.F_UNLCK
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False


def are_told(folder: Path) -> bool:
    """Whether the file system of a folder that can be written has locks, at least between processes of one machine."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            fcntl.fcntl(file, _SET, _pack(fcntl.F_WRLCK, WRITER))
    except OSError as error:
        return error.errno not in _NO_LOCKS
    return True


def _pack(kind: int, place: int) -> bytes:
    """C's `struct flock` of one byte."""
    if _IS_LINUX:
        return struct.pack("hhqqi4x", kind, 0, place, 1, 0)
    return struct.pack("qqihh", place, 1, 0, kind, 0)


def _kind(packed: bytes) -> int:
    return int(struct.unpack("hhqqi4x", packed)[0] if _IS_LINUX else struct.unpack("qqihh", packed)[3])
