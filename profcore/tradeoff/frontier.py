"""The frontier of quality and latency, with how sure it is of each of its points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from profcore.errors import UserError
from profcore.spec.text import are, counted
from profcore.tradeoff.dominance import not_dominated
from profcore.tradeoff.draws import TAIL, interval, mean_draws, percentile_draws, samples_to_bound
from profcore.tradeoff.latencies import ENERGY, METRICS
from profcore.tradeoff.points import KNOBS, WORK_KEPT, check_quality

if TYPE_CHECKING:
    import pandas as pd

    from profcore.tradeoff.points import JointPoints

SURE, NEVER = 0.95, 0.05
"""From which share of draws on a point counts as surely on the frontier, and up to which as surely off it."""


@dataclass(frozen=True)
class Frontier:
    """Points in the plane of a latency and a quality, and which of them no other is better than.

    Attributes:
        points: What was measured.
        table: The points with `latency`, `latency_low`, `latency_high` (95 %), `quality`, `quality_low`,
            `quality_high`, `on_frontier`, and `share`, the share of draws in which it is on the frontier; NaN where
            samples are too few to bound the percentile, its own or those of a point that it hangs on.
        draws: Whether each point is on the frontier of each draw; [draws, points].
        metric: What `latency` is; of `latencies.METRICS`.
        percentile: Which percentile of it.
        quality: What `quality` is; of `points.QUALITIES`.
    """

    points: JointPoints
    table: pd.DataFrame
    draws: np.ndarray
    metric: str
    percentile: float
    quality: str

    @property
    def members(self) -> pd.DataFrame:
        """The points on the frontier, the cheapest first."""
        return self.table[self.table["on_frontier"]].sort_values(["latency", "quality"])

    @property
    def unbounded(self) -> str:
        """Why some shares are not known, a sentence; empty where all are."""
        if self.metric == ENERGY:
            return ""
        sizes, needed = _sizes(self.points, self.metric), samples_to_bound(self.percentile)
        few = sizes[(sizes > 0) & (sizes < needed)]
        if not few.size:
            return ""
        number = f"{few.min()} to {few.max()}" if few.min() < few.max() else str(few.min())
        end = "upper" if self.percentile >= 50 else "lower"
        samples = "sample" if number == "1" else "samples"
        return (
            f"P{self.percentile:g} of {number} {samples} has no {end} end (it takes {needed}): how sure a setting is "
            "on the frontier cannot be told; measure more samples."
        )


def find_frontier(
    points: JointPoints,
    metric: str = "total_ms",
    percentile: float = 50,
    quality: str | None = None,
    seed: int = 0,
) -> Frontier:
    """The frontier of a joint run, and how sure it is: by drawing samples and questions anew.

    Args:
        points: As `joint_points`.
        metric: Of `METRICS`.
        percentile: Of latency, between 0 and 100; energy has a mean alone.
        quality: Of `points.QUALITIES`; the most telling that there is unless given.
        seed: Of the draws.

    Raises:
        UserError: The quality or the metric was not recorded.
    """
    quality = check_quality(points, quality or points.qualities[0])
    check_percentile(percentile)
    generator = np.random.default_rng(seed)
    latency, costs = _latency(points, metric, percentile, generator)
    value, qualities = quality_draws(points, quality, generator)
    # Of a divergence the smaller is the better.
    sign = -1.0 if quality == "kl" else 1.0
    on, draws = not_dominated(latency, sign * value), not_dominated(costs, sign * qualities)
    low, high = interval(costs)
    share = draws.mean(axis=0)
    least, most = _quality_interval(points, quality, value, qualities)
    if metric == ENERGY:
        # A meter gives one figure a setting, from many inferences at once: nothing says how far it varies.
        low, high = np.full_like(low, np.nan), np.full_like(high, np.nan)
    else:
        sizes = _sizes(points, metric)
        few = (sizes > 0) & (sizes < samples_to_bound(percentile))
        low, high = _bounded(points, metric, percentile, few, low, high)
        if few.any():
            # A draw beyond the samples is infinite, as if dominated, whatever the tail is. It is at the least what the
            # extreme sample is: a share that changes with that is none.
            tight = not_dominated(_within_samples(points, metric, costs), sign * qualities).mean(axis=0)
            share = np.where(few | (np.abs(tight - share) > TAIL), np.nan, share)
    table = points.table.assign(
        latency=latency,
        latency_low=low,
        latency_high=high,
        quality=value,
        quality_low=least,
        quality_high=most,
        on_frontier=on,
        share=share,
    )
    return Frontier(points, table, draws, metric, percentile, quality)


def check_percentile(percentile: float) -> float:
    """The percentile that was asked for, where it is one.

    Raises:
        UserError: It is not between 0 and 100.
    """
    if not 0 < percentile < 100:
        raise UserError(f"Percentile {percentile:g} is out of range: give one above 0 and below 100, such as 95.")
    return percentile


def fixed(points: JointPoints, knob: str, value: object) -> JointPoints:
    """The points at one value of a knob.

    Raises:
        UserError: There is no such knob, or it never takes that value.
    """
    if knob not in KNOBS:
        raise UserError(f"There is no knob {knob!r}: choose from {', '.join(KNOBS)}.")
    chosen = (points.table[knob] == value).to_numpy()
    if not chosen.any():
        known = ", ".join(map(_value_words, sorted(points.table[knob].dropna().unique())))
        raise UserError(f"{KNOBS[knob]} never was {_value_words(value)}: choose from {known or 'none'}.")
    return points.where(chosen)


def _value_words(value: object) -> str:
    return str(value) if isinstance(value, str) else f"{value:g}"


def _latency(
    points: JointPoints, metric: str, percentile: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A metric of each point, and what it may have been in each draw."""
    if metric not in METRICS:
        raise UserError(f"There is no latency {metric!r}: choose from {', '.join(METRICS)}.")
    if metric == ENERGY:
        joules = points.table[ENERGY].to_numpy(dtype=float)
        if np.isnan(joules).all():
            raise UserError("This run measured no energy: run it again with `--energy` on a GPU.")
        return joules, joules[None, :]
    found = points.latencies.percentiles(metric, percentile)
    if np.isnan(found).all():
        raise UserError(f"No sample of this run has a {METRICS[metric]}: choose another latency.")
    return found, percentile_draws(points.latencies.of(metric), percentile, generator)


def _sizes(points: JointPoints, metric: str) -> np.ndarray:
    """How many samples of a metric each point has; [points]."""
    return np.array([each.size for each in points.latencies.of(metric)])


def _bounded(
    points: JointPoints, metric: str, percentile: float, few: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Intervals that have an end exactly where samples are enough for one, which draws alone tell up to chance."""
    for end, at, open_end in ((low, 0, percentile <= 50), (high, -1, percentile >= 50)):
        extremes = np.array([each[at] if each.size else np.nan for each in points.latencies.of(metric)])
        end[~few & np.isnan(end)] = extremes[~few & np.isnan(end)]
        end[few & open_end] = np.nan
    return low, high


def _within_samples(points: JointPoints, metric: str, costs: np.ndarray) -> np.ndarray:
    """Draws of a percentile, those beyond the samples put at the extreme ones; [draws, points]."""
    ends = np.array([(each[0], each[-1]) if each.size else (np.nan, np.nan) for each in points.latencies.of(metric)])
    return np.clip(costs, ends[:, 0], ends[:, 1])


def quality_draws(points: JointPoints, quality: str, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A quality of each point, and what it may have been in each draw."""
    value = points.table[quality].to_numpy(dtype=float)
    if quality == WORK_KEPT or quality == "kl":
        # Work is counted, not measured; and of a divergence only the mean over questions was kept.
        return value, value[None, :]
    counts = points.table["quality_queries"].to_numpy(dtype=float)
    return value, mean_draws(_scores(points), value, counts, generator)


def _scores(points: JointPoints) -> list[np.ndarray | None]:
    """Each point's score of each question, None where only their mean is known."""
    known = points.table["scores"]
    return [np.asarray(each, dtype=float) if isinstance(each, (list, np.ndarray)) else None for each in known]


def _quality_interval(
    points: JointPoints, quality: str, value: np.ndarray, draws: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % of each point's quality; NaN where nothing says how far it varies."""
    # Work is counted, and of a divergence only the mean was kept: neither has an interval.
    if quality in (WORK_KEPT, "kl"):
        return np.full_like(value, np.nan), np.full_like(value, np.nan)
    low, high = interval(draws)
    scored = np.array([0 if each is None else each.size for each in _scores(points)])
    counts = np.where(scored > 0, scored, points.table["quality_queries"].to_numpy(dtype=float))
    known = counts > 0
    # No draw of questions that were all right has a wrong one (Clopper & Pearson 1934 for that case).
    beyond = TAIL ** (1 / np.where(known, counts, 1.0))
    low, high = np.where(value >= 1, beyond, low), np.where(value <= 0, 1 - beyond, high)
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def frontier_sentences(frontier: Frontier) -> list[str]:
    """What a frontier says, and how sure it is, a sentence each."""
    members = frontier.members
    sure = int((members["share"] >= SURE).sum())
    open_ = int(((frontier.table["share"] > NEVER) & (frontier.table["share"] < SURE)).sum())
    said = [
        f"{len(members)} of {counted(len(frontier.table), 'setting')} {are(len(members))} on the frontier: no "
        "other measured setting is both "
        "faster and better."
    ]
    if members["share"].notna().any():
        said[0] += f" {sure} of them {are(sure)} in at least {SURE:.0%} of the draws."
    if frontier.unbounded:
        said.append(frontier.unbounded)
    if open_:
        said.append(
            f"{counted(open_, 'setting')} cannot be told to be on or off it with these samples: another run could "
            f"draw {'it' if open_ == 1 else 'them'} the other way round."
        )
    if frontier.quality == WORK_KEPT:
        said.append(
            f"Work kept is a share of {frontier.points.whole or 'the largest setting'}, the largest knobs measured: it "
            "is no quality, and says how much was left out, not what that does to an answer."
        )
    return said
