"""Whether a setting of a sweep has enough samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from profcore.spec.until import FEWEST, StoppedBy
from profcore.stats.repeated import is_narrow, look_ranks

if TYPE_CHECKING:
    from profcore.spec.runs import Sweep


class Enough:
    """Says of each setting, after each of its samples, whether and by which rule it has enough.

    It goes by the totals alone, in the order that they were taken, so that a run that goes on stops where it would
    have stopped. A setting fails by none of these rules; where each has equally many samples, none ends before.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._until, self._most = sweep.until, sweep.num_samples
        self._totals: list[list[float]] = [[] for _ in sweep.settings]
        if self._until:
            # Worked out before anything is timed; up to a second where thousands of samples are allowed.
            look_ranks(self._most)

    def add(self, setting: int, total_ms: float | None) -> None:
        """Take a sample in; one of a setting's that went before, where the run goes on."""
        if self._until and total_ms is not None:
            self._totals[setting].append(total_ms)

    def stopped_by(self, setting: int) -> StoppedBy | None:
        """By what a setting has enough samples; None where it has not, and where all get equally many."""
        totals = self._totals[setting]
        if not self._until or len(totals) < FEWEST:
            return None
        if is_narrow(np.array(totals), self._until.precision, self._most):
            return StoppedBy.PRECISION
        if len(totals) >= self._most:
            return StoppedBy.SAMPLES
        if sum(totals) >= 1000 * self._until.max_seconds:
            return StoppedBy.SECONDS
        return None
