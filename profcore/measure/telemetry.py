"""What is known of the machine beside each sample: of the GPU what NVML says, and of the host how fast it is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from profcore.measure.card import Card
from profcore.measure.environment import card_of
from profcore.measure.host_speed import HostProbe

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

_PROCESSES_EVERY_S = 0.25


class Telemetry:
    """Reads the state of one GPU and of the host, between two inferences, so that it costs none of them anything."""

    def __init__(
        self, device: torch.device, card: Card | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Find the card.

        Args:
            device: Where samples are taken; a CPU has no card.
            card: The card, where it is known already.
            now: A clock in seconds.
        """
        self.card = card or (Card.find(card_of(device)) if device.type == "cuda" else None)
        self._now = now
        self._host = HostProbe()
        self._others: dict[str, float | None] = {}
        self._looked: float | None = None

    def read(self) -> dict[str, float]:
        """What is known of `spec.records.TELEMETRY`."""
        host = {"host_probe_us": self._host.read_us()}
        card = self.card
        if card is None:
            return host
        found = {
            **host,
            "sm_clock_mhz": card.sm_clock_mhz(),
            "memory_clock_mhz": card.memory_clock_mhz(),
            "temperature_c": card.temperature_c(),
            "power_w": card.power_w(),
            "throttle_reasons": card.throttle_reasons(),
            "memory_used_bytes": card.memory_used_bytes(),
            **self._of_others(card),
        }
        return {name: value for name, value in found.items() if value is not None}

    def _of_others(self, card: Card) -> dict[str, float | None]:
        """Who else is there; looked at a few times a second, since listing processes takes longer than all the rest."""
        now = self._now()
        if self._looked is None or now - self._looked >= _PROCESSES_EVERY_S:
            self._looked = now
            self._others = {
                "other_processes": card.other_processes(),
                "others_utilisation_percent": card.others_utilisation_percent(),
            }
        return self._others
