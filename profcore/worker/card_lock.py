"""Locks of cards among all processes and users of a machine, and who holds one since when. Standard library only."""

from __future__ import annotations

import getpass
import json
import os
import re
import stat
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

from profcore.errors import UserError
from profcore.spec.records import now
from profcore.storage.locks import WRITER, take

LOCKS_VARIABLE = "PROFCORE_LOCKS"
"""Names the folder of the locks; whoever sets it shares cards only with those who set the same."""

_DEFAULT = Path("/tmp/profcore-locks")  # not `tempfile.gettempdir()`, which each user may have elsewhere
_MOST_BYTES = 4096
_LONGEST_SHOWN = 80


def locks_folder() -> Path:
    """Where the locks lie: one place for all users of a machine, unless `$PROFCORE_LOCKS` names another."""
    given = os.environ.get(LOCKS_VARIABLE)
    return Path(given) if given else _DEFAULT


class CardLock:
    """The lock of one card; its holder's death frees it."""

    def __init__(self, card: str, why: str = "") -> None:
        """Open the lock's file, which whoever needs it first makes for all.

        Args:
            card: What tells it from every other of this machine.
            why: What it is taken for.

        Raises:
            UserError: The file cannot be opened or made.
        """
        self._why = why
        self._path = locks_folder() / f"{re.sub(r'[^A-Za-z0-9-]', '-', card)}.lock"
        self._file = self._open()

    def take(self) -> bool:
        """Take the lock, if nobody has it; returns whether it is ours."""
        if not take(self._file, WRITER):
            return False
        if not self._is_in_place():
            # Somebody cleaned up: those who come later lock another file.
            self._file.close()
            self._file = self._open()
            return self.take()
        with suppress(OSError):  # what is said of the holder is for people: a full disk keeps nobody from measuring
            holder = {"pid": os.getpid(), "user": _user(), "why": self._why, "since": now()}
            self._file.seek(0)
            self._file.truncate()
            self._file.write(json.dumps(holder).encode())
        return True

    def holder(self) -> str:
        """Who has had it since when, as far as that is known."""
        said = {name: _plain(value) for name, value in _read(self._file).items()}
        who = f"process {said['pid']}" if said.get("pid") else "another process"
        of = f" of {said['user']}" if said.get("user") and said["user"] != _user() else ""
        why = f" ({said['why']})" if said.get("why") else ""
        at = f" since {said['since'][:19].replace('T', ' ')} UTC" if said.get("since") else ""
        return f"{who}{of}{why} has measured{at}"

    def close(self) -> None:
        """Let go of the lock."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def _open(self) -> IO[bytes]:
        folder = self._path.parent
        try:
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)
                # For all users, of whom none may take another's file away.
                folder.chmod(0o1777)
            return self._open_file()
        except OSError as error:
            raise UserError(
                f"The lock of this device cannot be used ({self._path}: {error.strerror}): have it made writable for "
                f"all, or name another folder for all users of this machine in {LOCKS_VARIABLE}."
            ) from None

    def _open_file(self) -> IO[bytes]:
        """The file, made where there is none; never one that a link leads to."""
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            # Not made and opened in one: in such a folder Linux refuses that for a file that is another user's.
            number = os.open(self._path, flags)
        except FileNotFoundError:
            try:
                number = os.open(self._path, flags | os.O_CREAT | os.O_EXCL, 0o666)
            except FileExistsError:
                number = os.open(self._path, flags)
            else:
                os.fchmod(number, 0o666)
        file = os.fdopen(number, "rb+", buffering=0)
        if not stat.S_ISREG(os.fstat(number).st_mode):
            file.close()
            raise OSError(0, "it is no file")
        return file

    def _is_in_place(self) -> bool:
        """Whether the file that is open is still the one that others open."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except OSError:
            return False


def _read(file: IO[bytes]) -> dict[str, Any]:
    try:
        said = json.loads(os.pread(file.fileno(), _MOST_BYTES, 0))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _plain(value: Any) -> str:
    """What another process wrote, as a sentence can hold it."""
    return re.sub(r"[^\w .:+-]", "", str(value))[:_LONGEST_SHOWN]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
