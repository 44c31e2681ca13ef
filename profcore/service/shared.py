"""What many sessions look at, worked out once for all of them."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

Value = TypeVar("Value")

_KEPT = 256
# Whoever comes to what is followed is given nothing older; who has looked on meanwhile waits for nothing.
_OLDEST_S = 3.0
# Of what grows and takes long to work out: for how many times as long as that the last value is given.
_TIMES_TAKEN = 4.0


@dataclass
class _Entry:
    """A value, which state of the store it was worked out from, and when."""

    working: threading.Lock = field(default_factory=threading.Lock)
    changes: int | None = None
    at: float = 0.0
    took: float = 0.0
    looked_at: float = -math.inf
    weight: int = 0
    value: Any = None
    coming: Future[Any] | None = None


class Shared:
    """Values that follow from what is stored: as long as that has not changed, nobody works them out again.

    Values are handed to every session that asks, so none may be changed.
    """

    def __init__(
        self,
        changes: Callable[[], int],
        now: Callable[[], float] = time.monotonic,
        weigh: Callable[[Any], int] = lambda value: 0,
        most: int = 0,
    ) -> None:
        """Begin without any value.

        Args:
            changes: The number of changes of the store that is followed.
            now: A clock in seconds.
            weigh: How much memory a value takes, in some unit.
            most: How much all of them may take together; the one that was asked for last is kept whatever it takes.
        """
        self._changes, self._now = changes, now
        self._weigh, self._most = weigh, most
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._lock = threading.Lock()
        # One at a time: several would only take the interpreter from each other.
        self._worker = ThreadPoolExecutor(1, "shared")

    def close(self) -> None:
        """Work nothing more out in a thread of its own; what is at work is waited for."""
        self._worker.shutdown(cancel_futures=True)

    def get(self, key: Hashable, make: Callable[[], Value], lasts_s: float = 0.0) -> Value:
        """The value of a key, worked out by `make` where it must be; who asks meanwhile waits for it.

        Args:
            key: What is asked.
            make: Works it out from what is stored.
            lasts_s: For how long a value may be given though the store has changed since; longer where working it out
                takes longer.
        """
        entry = self._entry(key)
        with self._lock:
            # Nobody waits for a newer one who may have the last.
            if lasts_s and self._is_new(entry, lasts_s):
                return entry.value
        with entry.working:
            return entry.value if self._is_new(entry, lasts_s) else self._work_out(entry, make)

    def follow(self, key: Hashable, make: Callable[[], Value], lasts_s: float, waits_s: float) -> Value:
        """As `get`, for what is looked at again and again: who asks waits a moment, and then is given the last value.

        Args:
            key: What is asked.
            make: Works it out from what is stored, in a thread of its own.
            lasts_s: For how long a value may be given though the store has changed since.
            waits_s: For how long a new value is waited for, where the last is not too old to be given.
        """
        entry = self._entry(key)
        with self._lock:
            if entry.coming is None:
                if self._is_new(entry, lasts_s):
                    entry.looked_at = self._now()
                    return entry.value
                entry.coming = self._worker.submit(self._renew, entry, make)
            watched, entry.looked_at = self._now() - entry.looked_at < _OLDEST_S, self._now()
            oldest = math.inf if watched else max(_OLDEST_S, _TIMES_TAKEN * entry.took)
            is_young = entry.changes is not None and self._now() - entry.at < oldest
            coming, last = entry.coming, entry.value
        try:
            return coming.result(waits_s if is_young else None)
        except NotYetError:
            return last

    def _renew(self, entry: _Entry, make: Callable[[], Value]) -> Value:
        try:
            with entry.working:
                return self._work_out(entry, make)
        except BaseException:
            with self._lock:
                entry.coming = None
            raise

    def _is_new(self, entry: _Entry, lasts_s: float) -> bool:
        if entry.changes is None:
            return False
        lasts_s = max(lasts_s, _TIMES_TAKEN * entry.took) if lasts_s else 0.0
        return entry.changes == self._changes() or self._now() - entry.at < lasts_s

    def _work_out(self, entry: _Entry, make: Callable[[], Value]) -> Value:
        # Read before the work: what changes meanwhile makes the value an old one.
        changes, begin = self._changes(), self._now()
        value = make()
        # At once: whoever finds nothing coming finds the new value, and is given no work that is done already.
        with self._lock:
            entry.value, entry.changes, entry.at, entry.coming = value, changes, self._now(), None
            entry.took = entry.at - begin
            entry.weight = self._weigh(value)
            self._forget()
        return value

    def _entry(self, key: Hashable) -> _Entry:
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            self._forget()
            return entry

    def _forget(self) -> None:
        """Let go of what was asked for longest ago, as long as there is too much."""
        whole = sum(entry.weight for entry in self._entries.values())
        while len(self._entries) > 1 and (len(self._entries) > _KEPT or whole > self._most):
            _, oldest = self._entries.popitem(last=False)
            whole -= oldest.weight
