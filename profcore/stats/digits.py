"""How many digits of a figure are shown: at least three that mean something, and enough to tell an interval's ends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MISSING = "—"
"""What stands where there is no figure."""

_SIGNIFICANT = 3
_MOST_DECIMALS = 6
_US_PER_MS = 1000.0
_SMALLEST_IN_MS = 0.1


def decimals(value: float, low: float = math.nan, high: float = math.nan) -> int:
    """Decimals that a figure needs: for three significant digits, and for the ends of its interval to differ."""
    if not math.isfinite(value):
        return 0
    places = 0 if value == 0 else max(_SIGNIFICANT - 1 - math.floor(math.log10(abs(value))), 0)
    places = min(places, _MOST_DECIMALS)
    if math.isfinite(low) and math.isfinite(high) and low != high:
        while places < _MOST_DECIMALS and f"{low:.{places}f}" == f"{high:.{places}f}":
            places += 1
    return places


def common_decimals(values: Iterable[float], ends: Iterable[tuple[float, float]] = ()) -> int:
    """Decimals that a column of figures is aligned by: those that the one that needs most needs; 0 where none is known.

    Args:
        values: The figures; a zero, or a missing one, asks for nothing.
        ends: The ends of their intervals, in the same order, where they have any.
    """
    known = [(place, value) for place, value in enumerate(values) if math.isfinite(value) and value != 0]
    if not known:
        return 0
    pairs = list(ends)
    if not pairs:
        # The smallest needs most, and a table has many.
        return decimals(min(abs(value) for _, value in known))
    return max(decimals(value, *pairs[place]) for place, value in known)


def written(value: float | None, places: int | None = None) -> str:
    """A figure with its thousands apart; a dash where it is missing.

    Args:
        value: The figure.
        places: Its decimals; those that it needs by itself unless told otherwise.
    """
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:,.{decimals(value) if places is None else places}f}"


def written_interval(low: float, high: float, places: int | None = None) -> str:
    """An interval, as '12.31 to 12.45'; a dash where there is none."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return MISSING
    shared = max(decimals(low, low, high), decimals(high, low, high)) if places is None else places
    return f"{written(low, shared)} to {written(high, shared)}"


def written_both(value: float, low: float, high: float) -> tuple[str, str]:
    """A figure and its interval with equally many decimals: those that the figure needs for the ends to differ."""
    places = decimals(value, low, high)
    return written(value, places), written_interval(low, high, places)


def in_unit(milliseconds: float) -> tuple[float, str]:
    """The factor and the unit that a latency is written in: microseconds where milliseconds would round it away."""
    if math.isfinite(milliseconds) and 0 < abs(milliseconds) < _SMALLEST_IN_MS:
        return _US_PER_MS, "µs"
    return 1.0, "ms"
