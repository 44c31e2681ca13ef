"""What a benchmark gives."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Bound:
    """What a figure is asked to be.

    Attributes:
        low: Not less than this.
        high: Not more than this.
    """

    low: float | None = None
    high: float | None = None

    def holds(self, value: float) -> bool:
        """Whether a value is as asked."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    @property
    def words(self) -> str:
        """How a table says it, such as '≤ 5'."""
        if self.low is None:
            return f"≤ {self.high:g}"
        return f"≥ {self.low:g}" if self.high is None else f"{self.low:g} to {self.high:g}"


def at_most(high: float) -> Bound:
    """Of what is the better the less it is."""
    return Bound(high=high)


def at_least(low: float) -> Bound:
    """Of what is the better the more it is."""
    return Bound(low=low)


@dataclass(frozen=True)
class Figure:
    """One measured figure, how it was taken, and what was asked of it.

    Attributes:
        must: What it has to be; None for what is only told.
        aim: What it would be at best.
    """

    benchmark: str
    value: float
    unit: str
    how: str
    must: Bound | None = None
    aim: Bound | None = None

    @property
    def missed(self) -> bool:
        """Whether it is not what it has to be."""
        return self.must is not None and not self.must.holds(self.value)

    @property
    def verdict(self) -> str:
        """What became of what was asked, in words; empty where nothing was."""
        if self.must is None:
            return ""
        if self.missed:
            return "MISSES ITS MUST"
        if self.aim is None:
            return "as it must"
        return "as aimed at" if self.aim.holds(self.value) else "as it must, not as aimed at"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "verdict": self.verdict}
