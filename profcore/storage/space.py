"""How much space a run will need beside its database, and whether it is there; standard library only."""

from __future__ import annotations

import errno
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from profcore.errors import NoSpaceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from profcore.spec.runs import Sweep

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_SAMPLE_BYTES = 900
_STEP_BYTES = 12
_SPOOL_AND_DATABASE = 2.5
"""What is written for each byte of a spool: itself, the database's log, and the database."""
_MARGIN_BYTES = 100e6
"""What others may need meanwhile, and the database to put its parts in order."""


@contextmanager
def no_space_said(folder: Path) -> Iterator[None]:
    """Within it, what cannot be written into a folder for want of space is said in a sentence.

    Raises:
        NoSpaceError: A disk, a quota or a limit of the process is used up.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        raise NoSpaceError(no_space_left(folder)) from None


def no_space_left(folder: Path) -> str:
    """Why a run ended, or could not be started, for want of space."""
    return f"No space left in {folder}: free some, and start again."


def needed_bytes(sweeps: Iterable[Sweep]) -> float:
    """About what sweeps will write."""
    settings = ((setting, sweep.num_samples) for sweep in sweeps for setting in sweep.settings)
    spool = sum(samples * (_SAMPLE_BYTES + _STEP_BYTES * setting.output_tokens) for setting, samples in settings)
    return _SPOOL_AND_DATABASE * spool


def space_note(folder: Path, sweeps: Iterable[Sweep]) -> str:
    """A sentence where little space is left for what sweeps will write; empty where there is enough.

    Args:
        folder: Where they will be written, or will be made.
        sweeps: What is to be measured.
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return ""
    needed = needed_bytes(sweeps)
    if free >= needed + _MARGIN_BYTES:
        return ""
    return (
        f"Only {free / 1e6:,.0f} MB are left in {folder}, and this may write {max(needed / 1e6, 1):,.0f} MB: free some "
        "first. A run that finds no space ends, and keeps what it has measured by then."
    )
