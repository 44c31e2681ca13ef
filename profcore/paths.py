"""Where the project keeps its files, and which files of others it may open; standard library only."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from profcore.errors import UserError

REPOSITORY = Path(__file__).parents[1]
"""The checkout; where the package is installed without one, the folder that it is installed in."""


def data_directory() -> Path:
    """Where data lies unless told otherwise: `data/` of the checkout, `profcore/` among the user's data without one."""
    if (REPOSITORY / "pyproject.toml").is_file():
        return REPOSITORY / "data"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "profcore"


SHIPPED = data_directory() / "samples"
"""Spools of the sample results that come with the checkout."""

DATABASE_VARIABLE = "PROFCORE_DB"


def default_database() -> Path:
    """The database of the dashboard and the command line, unless told otherwise by `$PROFCORE_DB`."""
    given = os.environ.get(DATABASE_VARIABLE)
    return Path(given) if given else data_directory() / "profcore.duckdb"


def cache_directory() -> Path:
    """Where compiled code is kept between processes: `profcore/` in the user's cache directory."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "profcore"


def inside(folder: Path, given: str) -> Path | None:
    """The file that a data set names, where that lies in its folder; None where it leads outside."""
    path = Path(os.path.normpath(folder / given))
    return path if path.is_relative_to(os.path.normpath(folder)) else None


ROOTS_VARIABLE = "PROFCORE_ROOTS"
_LONGEST_PATH = 4096


@dataclass(frozen=True)
class Roots:
    """The folders whose files may be opened by a name that a page or a link gives.

    Attributes:
        folders: They, free of links; None for every folder, as for whoever runs a command.
    """

    folders: tuple[str, ...] | None = None

    @classmethod
    def configured(cls, *named: str | Path) -> Roots:
        """Those of `$PROFCORE_ROOTS`, else the working directory and the user's home; and those named besides."""
        given = os.environ.get(ROOTS_VARIABLE, "")
        folders = [each for each in given.split(os.pathsep) if each] if given else [os.curdir, str(Path.home())]
        return cls(tuple(dict.fromkeys(os.path.realpath(Path(each).expanduser()) for each in (*folders, *named))))

    def holds(self, path: str | Path) -> bool:
        """Whether a path, once its links are followed, lies under one of the folders."""
        if self.folders is None:
            return True
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(folder) for folder in self.folders)

    def path(self, text: str) -> Path:
        """The path that a person names, with `~` for a home; there may be nothing at it.

        Raises:
            UserError: No path can be written so, it lies elsewhere, or neither a file nor a folder is there.
        """
        path = _path_of(text)
        if not self.holds(path):
            raise UserError(
                f"{text!r} lies outside of the folders that a page may open: name one of those, or have "
                f"{ROOTS_VARIABLE} list its folder."
            )
        try:
            mode = path.stat().st_mode
        except OSError:
            return path
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise UserError(f"{text!r} is neither a file nor a folder: give the path of one.")
        return path


def _path_of(text: str) -> Path:
    if len(text) > _LONGEST_PATH:
        raise UserError(f"There is nothing at a path of {len(text):,} letters: one has at most {_LONGEST_PATH:,}.")
    if "\0" in text:
        raise UserError(f"There is nothing at {text!r}: no path holds a NUL.")
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise UserError(f"{text.encode('utf-8', 'replace').decode()!r} is no path: it holds half a character.")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UserError(f"{text!r} is no path: there is no such user.") from None


ANYWHERE = Roots()
"""No bounds: whoever runs a command may open what they may open."""


def open_regular(path: str | Path) -> BinaryIO:
    """A regular file for reading; a device, a pipe or a socket is never waited for nor read.

    Raises:
        OSError: It cannot be opened, or is no regular file; `strerror` says which.
    """
    # Looked at before, since to open some devices is to do something; and after, since it may be another by then.
    _check_regular(Path(path).stat().st_mode, path)
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_regular(os.fstat(number).st_mode, path)
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def _check_regular(mode: int, path: str | Path) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))


_SIZELESS = 2**20
"""Bytes that are read of a file that says it has none."""


def read_regular(path: str | Path, most: int) -> bytes:
    """The content of a regular file of at most so many bytes.

    Raises:
        OSError: As `open_regular`; or it has more, which is found without reading them.
    """
    with open_regular(path) as file:
        # Some files have a content but, by what the system says, no size.
        size = os.fstat(file.fileno()).st_size
        data = file.read(min(most, max(size, _SIZELESS)) + 1) if size <= most else b""
        if size > most or len(data) > most:
            raise OSError(errno.EFBIG, f"it has more than {most / 1e6:,.0f} MB, which is too much for it", str(path))
    return data
