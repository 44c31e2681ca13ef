"""Files among the spools that no version could ever read."""

from __future__ import annotations

import time
from itertools import count
from typing import TYPE_CHECKING

from profcore.paths import open_regular
from profcore.storage.lines import split_records
from profcore.storage.spool import is_being_written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SETTLED_S = 600.0
_LONGEST_LINE = 4_000_000


def set_aside_if_hopeless(path: Path) -> Path | None:
    """Rename a file to `*.bad` that no version could ever read and that nobody writes; its new path, if it was one.

    Its first line is no record of any kind, and it has not been touched for a while: one that is being copied here
    may not have come to the end of its first line yet.
    """
    try:
        if time.time() - path.stat().st_mtime < _SETTLED_S or is_being_written(path):
            return None
        with open_regular(path) as file:
            line = file.readline(_LONGEST_LINE)
        if line.lstrip().startswith(b"{") and (
            # A line too long to look at may be one that another version reads.
            len(line) == _LONGEST_LINE or (line.endswith(b"\n") and split_records(line) != [None])
        ):
            return None
        bad = next(name for name in _names(path) if not name.exists())
        path.rename(bad)
    except OSError:
        return None
    return bad


def _names(path: Path) -> Iterator[Path]:
    yield path.with_name(f"{path.name}.bad")
    for number in count(2):
        yield path.with_name(f"{path.name}.{number}.bad")
