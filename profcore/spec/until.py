"""How long a setting is sampled that is sampled as often as it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from profcore.errors import UserError

FEWEST = 6
"""Samples that every setting has that does not fail: with fewer, a median has no interval."""

MOST_SAMPLES = 5000
"""The most samples that may be allowed for a setting."""

USUAL_MOST, USUAL_SECONDS = 300, 120.0
"""The bounds of a setting unless others are given: samples, and seconds of timed inferences."""

_LEAST_SHARE, _LARGEST_SHARE = 0.0001, 0.5


class StoppedBy(StrEnum):
    """What ended the sampling of a setting."""

    PRECISION = "precision"
    SAMPLES = "samples"
    SECONDS = "seconds"


STOPPED_WORDS = {
    StoppedBy.PRECISION: "precise enough",
    StoppedBy.SAMPLES: "most samples reached",
    StoppedBy.SECONDS: "most seconds reached",
}
"""The same for people."""


@dataclass(frozen=True)
class Until:
    """When a setting has enough samples; the most that it may have are the sweep's `num_samples`.

    Attributes:
        precision: How far the ends of the interval of its median total may lie from it, as a share of it.
        max_seconds: Seconds that its timed inferences may take together; it has `FEWEST` samples all the same.
    """

    precision: float
    max_seconds: float = USUAL_SECONDS

    def __post_init__(self) -> None:
        if not _LEAST_SHARE <= self.precision <= _LARGEST_SHARE:
            raise UserError(
                f"A precision of {100 * self.precision:g} % is out of range: give "
                f"{100 * _LEAST_SHARE:g} % to {100 * _LARGEST_SHARE:g} %."
            )
        if not (math.isfinite(self.max_seconds) and self.max_seconds > 0):
            raise UserError(f"{self.max_seconds:g} seconds for a setting measure nothing: give more than 0.")

    def check_most(self, num_samples: int) -> None:
        """Whether so many samples may be the most of a setting.

        Raises:
            UserError: They may not.
        """
        if not FEWEST <= num_samples <= MOST_SAMPLES:
            raise UserError(
                f"At most {num_samples:,} samples per setting is out of range: a setting that is sampled until it is "
                f"precise needs {FEWEST} to {MOST_SAMPLES:,}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"precision": self.precision, "max_seconds": self.max_seconds}

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Until:
        """The reverse of `to_dict`."""
        return cls(float(value["precision"]), float(value["max_seconds"]))

    @property
    def words(self) -> str:
        """Such as '±1 %'."""
        return f"±{100 * self.precision:g} %"
