"""Pictures that people gave, kept beside the database within bounds: runs that wait or ran name them."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from profcore.errors import ImageError
from profcore.storage.whole import write_whole

if TYPE_CHECKING:
    from pathlib import Path

MOST_KEPT = 2_000_000_000
"""Bytes of all of them."""

_OLD_S = 30 * 86_400.0


def keep(folder: Path, data: bytes, most: int = MOST_KEPT, ending: str = "") -> Path:
    """Keep a picture under a name that follows from its content; those not given again for a month make room for it.

    Args:
        folder: Where they are.
        data: What is kept; a file of questions on pictures is kept as they are.
        most: Bytes that all of them may have.
        ending: What the name ends in.

    Raises:
        ImageError: There is no room for it.
    """
    path = folder / f"{hashlib.sha256(data).hexdigest()[:16]}{ending}"
    folder.mkdir(parents=True, exist_ok=True)
    if path.exists():
        os.utime(path)
        return path
    files = {each: each.stat() for each in folder.iterdir() if each.is_file()}
    held = sum(found.st_size for found in files.values())
    for each, found in sorted(files.items(), key=lambda item: item[1].st_mtime):
        if held + len(data) <= most or time.time() - found.st_mtime < _OLD_S:
            break
        with suppress(FileNotFoundError):
            each.unlink()
        held -= found.st_size
    if held + len(data) > most:
        raise ImageError(f"{folder} holds {held / 1e6:,.0f} MB of pictures already: remove what no run needs.")
    write_whole(path, data)
    return path
