"""The lock that every process of this machine takes before it measures on a device.

A card is locked by its UUID, which is the same whatever number it has in a process, in a place that all users share.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from profcore.engines.base import StopRequestedError
from profcore.measure.environment import card_of, device_name
from profcore.worker.card_lock import CardLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_POLL_S = 0.2


@contextmanager
def device_lock(
    device: torch.device, tell: Callable[[str], None], stop: Callable[[], bool], why: str = ""
) -> Iterator[None]:
    """Hold the device's lock, waiting for whoever has it.

    Args:
        device: What is measured on.
        tell: Told who has it where it has to wait, and again when another has.
        stop: Asked while it waits.
        why: What it is taken for, which others who wait are told.

    Raises:
        StopRequestedError: `stop` said so.
        UserError: The place of the locks cannot be used.
    """
    with CardLock(card_of(device) or str(device), why) as lock:
        told = None
        while not lock.take():
            holder = lock.holder()
            if holder != told:
                told = holder
                tell(f"Waiting: {holder} on {device_name(device)}")
            if stop():
                raise StopRequestedError
            time.sleep(_POLL_S)
        yield
