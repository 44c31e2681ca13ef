"""What tells a card's energy: its own counter, or where there is none its power, added up."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from profcore.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from profcore.measure.card import Card

_CHANGES, _LONGEST_LOOK_S = 12, 3.0
_FEWEST_CHANGES = 4
# Cards from Ampere on show the power of the last second on average (NVML API Reference, nvmlDeviceGetPowerUsage), and
# whether their counter adds up that or the power itself is not said: after as long both are of one load alone.
_SETTLES_S = 1.0


@dataclass(frozen=True)
class Step:
    """How coarse a meter is: the longest time and the largest jump that were seen from one change to the next."""

    seconds: float
    joules: float


class Meter(Protocol):
    """Joules that a card has used, as far as it has been told of them.

    Attributes:
        method: 'counter' or 'power'.
        settles_s: How long a load must last before the meter shows it alone.
    """

    method: str
    settles_s: float

    def read_j(self) -> float:
        """Joules up to now, from any beginning.

        Raises:
            UserError: NVML says it no more.
        """

    def shown(self) -> float:
        """What NVML shows now, whose changes are the meter's steps.

        Raises:
            UserError: As `read_j`.
        """


class CounterMeter:
    """The card's cumulative counter."""

    method, settles_s = "counter", _SETTLES_S

    def __init__(self, card: Card) -> None:
        self._card = card

    def read_j(self) -> float:
        """As `Meter.read_j`."""
        return _said(self._card.energy_j())

    def shown(self) -> float:
        """As `Meter.shown`."""
        return self.read_j()


class PowerMeter:
    """The card's power, added up by trapezoids from one reading to the next."""

    method, settles_s = "power", _SETTLES_S

    def __init__(self, card: Card, now: Callable[[], float]) -> None:
        self._card, self._now = card, now
        self._at, self._power, self._joules = now(), self.shown(), 0.0

    def read_j(self) -> float:
        """As `Meter.read_j`."""
        at, power = self._now(), self.shown()
        self._joules += (at - self._at) * (power + self._power) / 2
        self._at, self._power = at, power
        return self._joules

    def shown(self) -> float:
        """As `Meter.shown`."""
        return _said(self._card.power_w())


def find_meter(card: Card, work: Callable[[], None], now: Callable[[], float]) -> tuple[Meter, Step]:
    """The counter where it counts, else the power; with how coarse it is, as seen under a load.

    Args:
        card: Whose energy it is.
        work: A short load, issued again and again between looks.
        now: A clock in seconds.

    Raises:
        UserError: NVML shows neither.
    """
    if card.energy_j() is not None:
        counter = CounterMeter(card)
        if step := _step(counter, work, now):
            return counter, step
    if card.power_w() is not None:
        power = PowerMeter(card, now)
        step = _step(power, work, now)
        # A power that does not change is a steady one; it is only as new as the longest look.
        return power, Step(step.seconds if step else _LONGEST_LOOK_S, 0.0)
    raise UserError("NVML shows neither the energy nor the power of this card, so that energy cannot be measured.")


def _step(meter: Meter, work: Callable[[], None], now: Callable[[], float]) -> Step | None:
    """How coarse a meter is; None where it hardly changes."""
    begin, last = now(), meter.shown()
    changes: list[tuple[float, float]] = []
    while len(changes) < _CHANGES and now() - begin < _LONGEST_LOOK_S:
        work()
        shown = meter.shown()
        if shown != last:
            changes.append((now(), shown))
            last = shown
    if len(changes) < _FEWEST_CHANGES:
        return None
    pairs = list(pairwise(changes))
    return Step(max(after[0] - before[0] for before, after in pairs), max(b[1] - a[1] for a, b in pairs))


def _said(value: float | None) -> float:
    if value is None:
        raise UserError("NVML stopped saying what the card uses.")
    return value
