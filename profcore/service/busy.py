"""Whether what is to be measured on is at work for others, as the pages say it beside *Run*."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from profcore.errors import UserError
from profcore.measure.card import Card
from profcore.worker.busy import HostLoad, card_note

if TYPE_CHECKING:
    from profcore.worker.queue import Jobs

_FOR_S = 2.0


class Busy:
    """Looks at cards and host every few seconds at most, whoever asks."""

    def __init__(self, jobs: Jobs, host: HostLoad | None = None) -> None:
        """Begin to look.

        Args:
            jobs: The workers, which are not others.
            host: The machine; this one unless given.
        """
        self._jobs, self._host = jobs, host or HostLoad()
        self._cards: dict[str, Card | None] = {}
        self._said: dict[str, tuple[float, list[str]]] = {}
        self._lock = threading.Lock()

    def notes(self, device: str) -> list[str]:
        """What to know before measuring on a device, in sentences; usually nothing."""
        with self._lock:
            at, said = self._said.get(device, (-_FOR_S, []))
            now = time.monotonic()
            if now - at >= _FOR_S:
                said = [note for note in (self._host.note(), self._of_card(device)) if note]
                self._said[device] = now, said
            return said

    def _of_card(self, device: str) -> str:
        if device not in self._cards and (machine := self._machine(device)) is not None:
            self._cards[device] = Card.find(machine.get("card"))
        card = self._cards.get(device)
        if card is None:
            return ""
        own = frozenset(self._jobs.workers().values())
        return card_note(card.other_processes(own, computes=False), card.utilisation_percent())

    def _machine(self, device: str) -> dict[str, Any] | None:
        """What is known of a device; None as long as nothing is."""
        try:
            machines = {each["id"]: each.get("machine", {}) for each in self._jobs.seen().devices}
        except UserError:
            return None
        return machines.get(device)
