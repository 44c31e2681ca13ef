"""A process that dies with the one that started it, also while it is stopped; standard library only.

Linux sends the signal when the *thread* ends that started the process. So all are started by one thread that lives as
long as its process (see `start_process`).

Source: prctl(2), PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import sys
import threading
from concurrent.futures import Future
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    Made = TypeVar("Made")

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have this process killed when its parent ends; on macOS it leaves by itself, when its input ends.

    Args:
        parent: Who started it. Where it has ended already, this process ends at once.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    # It may have ended before the signal was asked for.
    if os.getppid() != parent:
        os._exit(1)


def start_process(start: Callable[[], Made]) -> Made:
    """Do something that starts a process, in the thread that lives as long as this process; gives what it gives."""
    done: Future[Made] = Future()
    _starter().put((start, done))
    return done.result()


@cache
def _starter() -> queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]]:
    asked: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()

    def serve() -> None:
        while True:
            start, done = asked.get()
            try:
                done.set_result(start())
            except BaseException as error:  # it is for whoever asked
                done.set_exception(error)

    # A daemon: joined at exit, it would end, and with it every worker, before they could be told to leave.
    threading.Thread(target=serve, name="starts processes", daemon=True).start()
    return asked
