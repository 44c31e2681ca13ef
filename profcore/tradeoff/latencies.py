"""The latencies of each point of a joint run, metric by metric, and their percentiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from profcore.spec.stages import Stage
from profcore.stats import METRIC_LABELS, percentile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VISION = "vision_ms"
ENERGY = "total_j"
METRICS = {
    Stage.LLM_PREFILL.column: METRIC_LABELS[Stage.LLM_PREFILL.column],
    Stage.LLM_DECODE.column: METRIC_LABELS[Stage.LLM_DECODE.column],
    "tpot_ms": METRIC_LABELS["tpot_ms"],
    VISION: "Vision",
    "ttft_ms": METRIC_LABELS["ttft_ms"],
    "total_ms": METRIC_LABELS["total_ms"],
    ENERGY: "Energy",
}
"""What quality is weighed against: latencies in milliseconds, and joules of an inference."""

NEEDED = (*(stage.column for stage in Stage), "total_ms", "num_output_tokens", "vision_total_ms", "first_token_ms")
"""Columns of samples that all of these follow from."""


def unit_of(metric: str) -> str:
    """The unit of a metric."""
    return "J" if metric == ENERGY else "ms"


@dataclass
class Latencies:
    """Samples by point; each metric is sorted when it is first asked for, and then kept.

    Attributes:
        codes: Which point each sample is of, from 0; [samples].
        columns: `NEEDED`, as far as there are any; [samples] each, NaN where missing.
        number: How many points there are.
    """

    codes: np.ndarray
    columns: Mapping[str, np.ndarray]
    number: int
    _order: np.ndarray | None = None
    _sorted: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def values(self, metric: str) -> np.ndarray:
        """A metric of every sample, in the order of `codes`; NaN where it is not known.

        Raises:
            KeyError: It is no metric of samples.
        """
        known = self.columns
        # Files of others may say only what both vision stages took together, or all up to the first token.
        if metric == VISION:
            return _first(known["vision_encoder_ms"] + known["projector_ms"], known["vision_total_ms"])
        if metric == "ttft_ms":
            return _first(self.values(VISION) + known["llm_prefill_ms"], known["first_token_ms"])
        if metric == "tpot_ms":
            steps = known["num_output_tokens"] - 1
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.where(steps > 0, known["llm_decode_ms"] / steps, np.nan)
        return known[metric]

    def of(self, metric: str) -> list[np.ndarray]:
        """For each point its samples of a metric in ascending order, missing ones left out."""
        if metric not in self._sorted:
            self._sorted[metric] = self._by_point(self.values(metric))
        return self._sorted[metric]

    def percentiles(self, metric: str, share: float) -> np.ndarray:
        """A percentile of each point, NaN where it has no sample; [points]."""
        return np.array([percentile(each, share) if each.size else np.nan for each in self.of(metric)])

    def medians_of(self, point: int, metrics: Sequence[str]) -> dict[str, float]:
        """The medians of one point, which needs none of the others sorted; NaN where it has no sample."""
        own = self.codes == point
        known = {metric: self.values(metric)[own] for metric in metrics}
        return {
            metric: float(np.nanmedian(values)) if np.isfinite(values).any() else np.nan
            for metric, values in known.items()
        }

    def _by_point(self, values: np.ndarray) -> list[np.ndarray]:
        if self._order is None:
            # Small whole numbers are sorted by their digits, in one pass over a million.
            narrow = self.codes.astype(np.int16 if self.number < 2**15 else np.int64)
            self._order = np.argsort(narrow, kind="stable")
        ends = np.cumsum(np.bincount(self.codes, minlength=self.number))[:-1]
        groups = np.split(values[self._order], ends)
        # Missing values are sorted behind all others.
        return [each[: np.searchsorted(each, np.nan)] for each in map(np.sort, groups)]


def _first(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The values, and others where they are missing."""
    return np.where(np.isnan(values), others, values)
