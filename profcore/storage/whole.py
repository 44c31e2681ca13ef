"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_DAY_S = 86_400.0


@contextmanager
def draft(place: Path, data: bytes) -> Iterator[Path]:
    """A file beside the place that it is meant for, with its content; what has not been moved at the end is deleted.

    Raises:
        OSError: It cannot be written; nothing is left behind.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: two that write the same at once must not write into each other.
    number, name = tempfile.mkstemp(dir=place.parent, prefix=f"{place.stem[:80]}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(number)
        yield part
    finally:
        part.unlink(missing_ok=True)


def write_whole(place: Path, data: bytes) -> None:
    """Put a file in place of what was there; a reader sees the old or the new, never half.

    Raises:
        OSError: It cannot be written; what was there stays.
    """
    with draft(place, data) as part:
        part.replace(place)


def clear_drafts(folder: Path, names: str = "*.part") -> None:
    """Take away what killed processes left half written, a day later: by then nobody writes it any more.

    Args:
        folder: Where it lies.
        names: A pattern of its files' names.
    """
    for path in folder.glob(names):
        # Whatever cannot be looked at or taken away keeps nobody from working.
        with suppress(OSError):
            if path.is_file() and time.time() - path.lstat().st_mtime > _DAY_S:
                path.unlink()
