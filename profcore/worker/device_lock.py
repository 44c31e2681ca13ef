"""The lock that every process of this machine takes before it measures on a device."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from filelock import FileLock, Timeout

from profcore.engines.base import StopRequestedError

if TYPE_CHECKING:
    from collections.abc import Callable


_LOCK_POLL_S = 0.2


class _device_lock:  # noqa: N801  used like a function
    """A lock that every process of this machine takes before it measures on a device."""

    def __init__(self, device: torch.device, tell: Callable[[str], None], stop: Callable[[], bool]) -> None:
        name = str(device).replace(":", "-")
        self._lock = FileLock(Path(tempfile.gettempdir()) / f"profcore-{os.getuid()}-{name}.lock")
        self._device, self._tell, self._stop = device, tell, stop

    def __enter__(self) -> None:
        waiting = False
        while True:
            try:
                self._lock.acquire(timeout=0 if not waiting else _LOCK_POLL_S)
                return
            except Timeout:
                if not waiting:
                    self._tell(f"Waiting: another process measures on {self._device}")
                waiting = True
                if self._stop():
                    raise StopRequestedError from None

    def __exit__(self, *details: object) -> None:
        self._lock.release()
