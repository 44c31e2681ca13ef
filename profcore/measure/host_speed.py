"""How fast the host is just now: a fixed piece of the interpreter's work, timed at both ends of a sample.

What issues a model's kernels is work of the same kind. A host that is shared, as a virtual machine's often is, may run
at half its speed for seconds and say so nowhere: a stage that waits for it then takes twice as long.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_ROUNDS, _TIMES = 2_000, 2
"""Twice some 50 to 100 µs, between two samples."""


class HostProbe:
    """Looks at the host's speed after each sample, and remembers the look before."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        """Nothing has been looked at.

        Args:
            now: A clock in seconds.
        """
        self._now = now
        self._before = 0.0

    def read_us(self) -> float:
        """Microseconds that the work took at the end of the sample before or takes now, whichever is longer."""
        # An interrupt falls into one of two; a host that is slow is slow in both.
        taken = min(self._once() for _ in range(_TIMES))
        slower, self._before = max(self._before, taken), taken
        return round(slower * 1e6, 2)

    def _once(self) -> float:
        begin = self._now()
        found = 0
        for each in range(_ROUNDS):
            found += each
        return self._now() - begin
