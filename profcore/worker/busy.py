"""Whether a card or the host is at work for others, so that a person knows before figures are taken there."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from profcore.spec.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from profcore.measure.card import Card

_BUSY_CARD_PERCENT = 5
_BUSY_HOST = 0.5
_SHORTEST_S = 0.15
# Columns of the first line of /proc/stat in which a core works: user, nice, system, irq, softirq, steal.
_WORKING = (1, 2, 3, 6, 7, 8)


class HostLoad:
    """How many cores other processes keep busy, from one look to the next."""

    def __init__(
        self,
        stat: Path = Path("/proc/stat"),
        now: Callable[[], float] = time.monotonic,
        own: Callable[[], float] = time.process_time,
        cores: int | None = None,
    ) -> None:
        """Take the first look.

        Args:
            stat: The kernel's counters; where there are none, nothing is ever said.
            now: A clock in seconds.
            own: Seconds of processors that this process has used.
            cores: Of the host.
        """
        self._stat, self._now, self._own = stat, now, own
        self._cores = cores or os.cpu_count() or 1
        self._last, self._busy = self._look(), 0.0

    def busy_cores(self) -> float | None:
        """Cores that others kept busy since the last look, on average; None where the kernel does not say."""
        last, here = self._last, self._look()
        if last is None or here is None:
            return None
        passed = here[0] - last[0]
        if passed >= _SHORTEST_S:
            self._last, self._busy = here, max(here[1] - last[1] - (here[2] - last[2]), 0.0) / passed
        return self._busy

    def note(self) -> str:
        """A sentence where others keep half of the cores busy or more; empty where they do not."""
        busy = self.busy_cores()
        if busy is None or busy < _BUSY_HOST * self._cores:
            return ""
        return (
            f"The host is busy: other programs keep about {busy:.0f} of its {counted(self._cores, 'core')} at work, "
            "and stages that wait for the host follow it."
        )

    def _look(self) -> tuple[float, float, float] | None:
        """The time, seconds that cores have worked, and those of this process."""
        try:
            words = self._stat.read_text(encoding="ascii").split("\n", 1)[0].split()
            worked = sum(int(words[place]) for place in _WORKING) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            return None
        return self._now(), worked, self._own()


def card_note(others: int | None, used_percent: int | None) -> str:
    """A sentence where a card has other processes or is at work for them; empty where neither is known.

    Args:
        others: Processes on it that are not ours.
        used_percent: The share of the last moments in which their kernels ran.
    """
    works = used_percent is not None and used_percent >= _BUSY_CARD_PERCENT
    if not others and not works:
        return ""
    parts = [f"{counted(others, 'other process', 'other processes')} on it"] if others else []
    parts += [f"at work {used_percent} % of the time"] if works else []
    return f"The card is in use: {', '.join(parts)}. Samples taken beside others are flagged."


def notes_before(card: Card | None, host: HostLoad) -> list[str]:
    """What a command says of card and host before it measures, in sentences; this process is on the card by then."""
    notes = [host.note()]
    if card is not None:
        notes.append(card_note(card.other_processes(), card.others_utilisation_percent()))
    return [note for note in notes if note]
