"""What a benchmark gives."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured figure, what was asked of it, and how it was taken."""

    benchmark: str
    value: float
    unit: str
    target: str
    how: str
