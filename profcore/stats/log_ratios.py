"""The logarithm of a ratio of medians, and how far what is known of it reaches, at any confidence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from profcore.stats.reaches import reach, rounding, squares_of
from profcore.stats.student import CONFIDENCE
from profcore.stats.summary import percentile

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class LogRatio:
    """The mean over settings of log(median after / median before), and how far it reaches to either side.

    Attributes:
        value: The mean; NaN where no setting has two positive medians.
        number: How many settings it rests on.
        fewest: Samples of the setting that has fewest, on either side.
        spread: Standard deviation of the settings' own; NaN of one.
        down: What it reaches below by the samples before and by those after, each squared; infinite where a median has
            no bound.
        up: The same above.
        off: What it may be off for rounding.
    """

    value: float
    number: int
    fewest: int
    spread: float
    down: tuple[float, float]
    up: tuple[float, float]
    off: float

    @property
    def low(self) -> float:
        """The lower end of its interval; infinite, or NaN, where there is none."""
        return self.value - math.sqrt(sum(self.down)) - self.off

    @property
    def high(self) -> float:
        """The upper end."""
        return self.value + math.sqrt(sum(self.up)) + self.off


_NONE = LogRatio(math.nan, 0, 0, math.nan, (math.nan, math.nan), (math.nan, math.nan), math.nan)


def log_ratio(pairs: Sequence[tuple[np.ndarray, np.ndarray]], confidence: float = CONFIDENCE) -> LogRatio:
    """The mean over settings of the log ratio of medians, after over before.

    Args:
        pairs: For each setting (before, after), in their order in time; missing samples, and settings without a
            positive median, are left out.
        confidence: Of the interval, both ends together.

    Shapes:
        pairs: (samples,) each.
    """
    known = [tuple(values[~np.isnan(values)].astype(float) for values in pair) for pair in pairs]
    known = [pair for pair in known if all(values.size for values in pair)]
    medians = np.array([[percentile(np.sort(values), 50) for values in pair] for pair in known]).reshape(-1, 2)
    positive = medians.min(axis=1) > 0
    if not positive.any():
        return _NONE
    known = [pair for pair, counts in zip(known, positive, strict=True) if counts]
    logs = np.log(medians[positive, 1] / medians[positive, 0])
    number = len(known)
    weights = np.full(number, 1 / number)
    with np.errstate(divide="ignore", invalid="ignore"):
        before, after = ([reach(np.log(pair[side]), confidence) for pair in known] for side in (0, 1))
        (down, up), (first_down, first_up) = squares_of(weights, after), squares_of(weights, before)
    return LogRatio(
        value=float(logs.mean()),
        number=number,
        fewest=min(values.size for pair in known for values in pair),
        spread=float(logs.std(ddof=1)) if number > 1 else math.nan,
        # What the reference may be higher makes the ratio lower.
        down=(first_up, down),
        up=(first_down, up),
        off=rounding(np.append(np.ones(number), np.log(medians[positive])) / number),
    )
