"""The lock that every process of this machine takes before it measures on a device."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from profcore.engines.base import StopRequestedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch


_POLL_S = 0.2


@contextmanager
def device_lock(device: torch.device, tell: Callable[[str], None], stop: Callable[[], bool]) -> Iterator[None]:
    """Hold the device's lock, waiting for whoever has it.

    Args:
        device: What is measured on.
        tell: Told once where it has to wait.
        stop: Asked while it waits.

    Raises:
        StopRequestedError: `stop` said so.
    """
    name = str(device).replace(":", "-")
    lock = FileLock(Path(tempfile.gettempdir()) / f"profcore-{os.getuid()}-{name}.lock")
    if not _acquire(lock, 0):
        tell(f"Waiting: another process measures on {device}")
        while not _acquire(lock, _POLL_S):
            if stop():
                raise StopRequestedError
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, timeout_s: float) -> bool:
    try:
        lock.acquire(timeout=timeout_s)
    except Timeout:
        return False
    return True
