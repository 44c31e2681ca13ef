"""Measuring on cores of a device's own, and what a run says of the host."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from profcore.measure.environment import card_of
from profcore.worker.cores import CPU, run_on, share_of, this_machine

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Host:
    """What the host gives to a run.

    Attributes:
        cores: The cores that it is pinned to, in words, or why it is not.
        load: Processes that ran or waited to run when it was begun, the mean over a minute; None where nobody says.
    """

    cores: str
    load: float | None


@contextmanager
def pinned(device: torch.device) -> Iterator[Host]:
    """Inside, this process runs on the cores of a device alone, and torch computes on as many threads at most."""
    machine = this_machine()
    share = share_of(card_of(device) or CPU, machine)
    load = None
    with suppress(OSError, AttributeError):
        load = round(os.getloadavg()[0], 2)
    host = Host(str(share), load)
    if not share.cores:
        yield host
        return
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(min(threads, len(share.cores)))
    run_on(share.cores)
    try:
        yield host
    finally:
        run_on([core for physical in machine.cores for core in physical])
        torch.set_num_threads(threads)
