"""Estimates with their 95 % intervals; NaN where the samples do not give one."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Slope:
    """A line's slope with its 95 % interval; NaN where the samples do not give one.

    Attributes:
        through: A point (x, y) that the line goes through.
    """

    value: float
    low: float
    high: float
    through: tuple[float, float] = (math.nan, math.nan)

    def at(self, x: float) -> float:
        """The line's height at some x."""
        return self.through[1] + self.value * (x - self.through[0])


@dataclass(frozen=True)
class Correlation:
    """Pearson's r with its 95 % interval, and r squared, the share of variance that a line explains."""

    r: float
    low: float
    high: float
    r_squared: float
    n: int


@dataclass(frozen=True)
class Ratio:
    """A ratio with its 95 % interval; NaN where the samples do not give one.

    Attributes:
        n: How many points or settings it rests on.
    """

    value: float
    low: float
    high: float
    n: int
