"""Signs of life of a worker: a few numbers in memory that it shares with whoever started it. Standard library only.

What measures gives the signs itself, between two decode steps, so that one that hangs gives none; a thread of its own
would go on, and would take the interpreter from what is measured. A sign costs some 100 ns.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import time
from typing import Self

_SIZE = mmap.PAGESIZE
_SIGN, _SETTING, _PREPARING, _LONGEST = range(4)


class Beat:
    """The shared numbers; whoever watches and whoever is watched have one each."""

    def __init__(self, number: int) -> None:
        """Share the memory of an open file."""
        self._map = mmap.mmap(number, _SIZE)
        self._values = memoryview(self._map).cast("q")

    @classmethod
    def make(cls) -> tuple[Self, int]:
        """New memory, and the open file by which another process shares it."""
        if hasattr(os, "memfd_create"):
            number = os.memfd_create("profcore-beat")
            os.ftruncate(number, _SIZE)
        else:
            with tempfile.TemporaryFile() as file:
                file.write(bytes(_SIZE))
                file.flush()
                number = os.dup(file.fileno())
        return cls(number), number

    def begin(self) -> None:
        """A task begins, of which nothing is known yet."""
        self._values[_SETTING], self._values[_PREPARING], self._values[_LONGEST] = 0, 1, 0
        self.sign()

    def sign(self) -> None:
        """Give a sign of life."""
        self._values[_SIGN] = time.monotonic_ns()

    def at(self, setting: int, preparing: bool) -> None:
        """Say which setting comes now, and whether it is got ready, which may take minutes, or measured."""
        self._values[_SETTING], self._values[_PREPARING] = setting + 1, int(preparing)
        self.sign()

    def took(self, total_ms: float) -> None:
        """Say how long an inference took; another setting is not begun yet."""
        self._values[_LONGEST] = max(self._values[_LONGEST], int(total_ms * 1e6))
        self.sign()

    @property
    def quiet_s(self) -> float:
        """Seconds since the last sign."""
        return max(time.monotonic_ns() - self._values[_SIGN], 0) / 1e9

    @property
    def setting(self) -> int | None:
        """The setting that was got ready or measured last; None before the first."""
        return self._values[_SETTING] - 1 if self._values[_SETTING] else None

    @property
    def preparing(self) -> bool:
        """Whether something is got ready, of which nobody can tell how long it takes."""
        return bool(self._values[_PREPARING])

    @property
    def longest_s(self) -> float:
        """Seconds that the longest inference took."""
        return self._values[_LONGEST] / 1e9
