"""A knob's sweep beside real pictures: does the clean sweep predict what pictures cost? Pure.

On one axis of tokens stand the sweep's medians and every picture; each has a fitted slope, and at equal tokens the
pictures lie some share above or below the sweep. Only what ran alike is compared: where a knob that a latency depends
on stands elsewhere, the pictures are left out of it, and that is said.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore import stats
from profcore.comparisons.as_json import records
from profcore.comparisons.beside_words import (
    comparison_sentences,
    crops_sentences,
    fixed_digits,
    slope_unit,
    tokens_sentences,
)
from profcore.comparisons.conditions import (
    KNOBS,
    MACHINE,
    ORIGIN,
    PICTURE,
    Conditions,
    find_differences,
    known_alike,
    list_values,
    result_conditions,
    setting_values,
    told_apart,
)
from profcore.comparisons.engines import compared_metrics
from profcore.errors import UserError
from profcore.spec.stages import Knob, Stage
from profcore.spec.text import are, counted
from profcore.stats import METRIC_LABELS
from profcore.stats.digits import MISSING, common_decimals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.experiments.knobs import Experiment
    from profcore.results.pictures import PictureResult
    from profcore.results.sweep import Result

OFFERED = {
    Knob.VISION_TOKENS: (
        *("vision_tokens_vs_latency", "latency_distribution", "component_profiling", "flops_vs_latency"),
    ),
    Knob.OUTPUT_TOKENS: ("language_tokens_vs_latency", "flops_vs_latency", "latency_distribution"),
}
"""The Motivation experiments that can stand beside a knob's sweep, the twin first."""

_MOST_DRAWN = 2000
_VISION = (Stage.VISION_ENCODER.column, Stage.PROJECTOR.column)
_BEFORE_DECODE = (*_VISION, Stage.LLM_PREFILL.column, "ttft_ms")
_UNMOVED = {Knob.TOP_K: _VISION, Knob.ACTIVE_BLOCKS: _VISION, Knob.OUTPUT_TOKENS: _BEFORE_DECODE}
"""The latencies that each knob leaves as they are; every other one may change with it."""


@dataclass(frozen=True)
class Series:
    """One run's part in the comparison.

    Attributes:
        conditions: What it was measured under.
        points: Of a sweep its samples; of a Motivation run its `PictureResult.points`. Both with the knobs of
            `Store.settings` as far as they are known.
    """

    conditions: Conditions
    points: pd.DataFrame


@dataclass(frozen=True)
class Beside:
    """A sweep and Motivation runs together; every table is keyed by `run` and carries the `name` that is shown.

    Attributes:
        points: Every picture: `run`, `name`, `x`, `metric`, `value`, `title`; drawn at random where there are very
            many.
        medians: Of the sweep and of pictures with the same number of tokens: `run`, `name`, `x`, `metric`, `median`,
            `low`, `high`, `n`.
        lines: The fitted line of each: `run`, `name`, `metric`, `x`, `y`, at both its ends.
        slopes: `run`, `name`, `metric`, `slope`, `low`, `high` (ms per token), `n` (points or settings).
        ratios: Pictures over the sweep at equal tokens: `run`, `name`, `metric`, `ratio`, `low`, `high`, `n`,
            `outside` (points beyond the sweep's tokens).
        names: What each run is called, the sweep first; no two alike.
        sentences: The comparison in words, for each Motivation run.
        refused: What is not compared, in words, for each Motivation run.
        refusals: The same as a table: `run`, `metric`, `points`, `reason`, which is a knob that stands elsewhere.
        differences: What else the runs differ in, and what cannot be told.
        left_out: Points that are not drawn.
    """

    points: pd.DataFrame
    medians: pd.DataFrame
    lines: pd.DataFrame
    slopes: pd.DataFrame
    ratios: pd.DataFrame
    names: dict[str, str]
    sentences: dict[str, list[str]]
    refused: dict[str, list[str]]
    refusals: pd.DataFrame
    differences: list[str]
    left_out: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; the single points are left out, they are the runs' own."""
        sweep, *pictures = self.names
        tables = ("medians", "slopes", "ratios", "refusals")
        return {
            "sweep": sweep,
            "pictures": pictures,
            "names": self.names,
            "differences": self.differences,
            "sentences": self.sentences,
            "refused": self.refused,
            **{name: records(getattr(self, name)) for name in tables},
        }


@dataclass
class _Tables:
    """Rows of `Beside`, as they are gathered run by run."""

    points: list[pd.DataFrame] = field(default_factory=list)
    medians: list[pd.DataFrame] = field(default_factory=list)
    lines: list[list[Any]] = field(default_factory=list)
    slopes: list[list[Any]] = field(default_factory=list)
    ratios: list[list[Any]] = field(default_factory=list)
    refusals: list[list[Any]] = field(default_factory=list)
    left_out: int = 0


def compare_with_pictures(
    sweep: Result, pictures: Sequence[PictureResult], metrics: Sequence[str] = (), names: dict[str, str] | None = None
) -> Beside:
    """A stored sweep beside stored Motivation runs.

    Args:
        sweep: Of vision or output tokens.
        pictures: Of experiments that are `OFFERED` for it.
        metrics: Which latencies; those that the knob turns unless given.
        names: How runs are shown, by their ids; the ids unless given.

    Raises:
        UserError: The runs are no such sweep and pictures, or have no samples.
    """
    called = names or {}
    offered = OFFERED.get(sweep.experiment.knob)
    if offered is None:
        titles = "vision tokens or output tokens"
        raise UserError(f"{sweep.run['id']} turns {KNOBS[sweep.experiment.knob]}: give a sweep of {titles}.")
    for each in (sweep, *pictures):
        if each.samples.empty:
            raise UserError(f"{each.run['id']} has no samples to compare.")
    for each in pictures:
        if each.experiment.name not in offered:
            raise UserError(
                f"{each.run['id']} is of {each.experiment.name}, which does not stand beside this sweep: give a run "
                f"of {', '.join(offered)}."
            )
    given = [Series(result_conditions(each, called.get(each.run["id"], "")), with_knobs(each)) for each in pictures]
    own = Series(result_conditions(sweep, called.get(sweep.run["id"], "")), sweep.samples)
    return set_beside(sweep.experiment, own, given, metrics)


def can_stand_beside(sweep: Conditions, pictures: Conditions, experiment: Experiment) -> bool:
    """Whether a Motivation run stands beside a sweep without being asked for: known to be measured alike.

    Args:
        sweep: Its conditions.
        pictures: The Motivation run's.
        experiment: Whose knob the sweep turned.
    """
    matters = (*(MACHINE[name] for name in ("device_name", "model", "weights", "dtype", "engine", "clock")),)
    moving = [knob for knob in _UNMOVED if set(compared_metrics(experiment)) - set(_UNMOVED[knob])]
    held = [(sweep.held(knob), pictures.held(knob)) for knob in moving if knob is not experiment.knob]
    return known_alike(sweep, pictures, matters) and all(one and other and one.agrees(other) for one, other in held)


def with_knobs(result: PictureResult) -> pd.DataFrame:
    """The points of a Motivation run with the knobs of their settings."""
    missing = ["setting", *(name for name in ("top_k", "active_blocks", "block_mask") if name not in result.points)]
    return result.points.merge(result.settings[missing], on="setting", how="left")


def set_beside(
    experiment: Experiment, sweep: Series, pictures: Sequence[Series], metrics: Sequence[str] = ()
) -> Beside:
    """A sweep and Motivation runs on the same axis.

    Args:
        experiment: Whose knob is on the axis: vision or output tokens.
        sweep: The sweep; its points are samples.
        pictures: The Motivation runs.
        metrics: Which latencies; those that the knob turns unless given.
    """
    metrics = tuple(metrics) or compared_metrics(experiment)
    own, *others = told_apart([sweep.conditions, *(each.conditions for each in pictures)])
    sweep = Series(own, stats.add_derived(sweep.points))
    pictures = [Series(each, given.points) for each, given in zip(others, pictures, strict=True)]
    tables = _Tables()
    _add_sweep(tables, experiment, sweep, metrics)
    for each in pictures:
        _add_pictures(tables, experiment, sweep, each, metrics)
    slopes = pd.DataFrame(tables.slopes, columns=["run", "name", "metric", "slope", "low", "high", "n"])
    ratios = pd.DataFrame(tables.ratios, columns=["run", "name", "metric", "ratio", "low", "high", "n", "outside"])
    refusals = pd.DataFrame(tables.refusals, columns=["run", "metric", "points", "reason"])
    return Beside(
        points=pd.concat(tables.points, ignore_index=True).dropna(subset="value") if tables.points else _NO_POINTS,
        medians=pd.concat(tables.medians, ignore_index=True),
        lines=pd.DataFrame(tables.lines, columns=["run", "name", "metric", "x", "y"]),
        slopes=slopes,
        ratios=ratios,
        names={each.run_id: each.name for each in (own, *others)},
        sentences={each.conditions.run_id: _sentences(experiment, sweep, each, slopes, ratios) for each in pictures},
        refused={each.run_id: _refusal_sentences(refusals, slopes, each.run_id) for each in others},
        refusals=refusals,
        differences=find_differences([own, *others], leave_out=(PICTURE, ORIGIN, KNOBS[experiment.knob])),
        left_out=tables.left_out,
    )


_NO_POINTS = pd.DataFrame(columns=["run", "name", "x", "metric", "value", "title"])


def _add_sweep(tables: _Tables, experiment: Experiment, sweep: Series, metrics: Sequence[str]) -> None:
    """The sweep's own medians, slopes and lines."""
    run = [sweep.conditions.run_id, sweep.conditions.name]
    x = sweep.points[experiment.column].to_numpy(dtype=float)
    for metric in metrics:
        own = stats.slope(x, sweep.points[metric].to_numpy(dtype=float))
        tables.medians.append(_medians(sweep, experiment.column, metric))
        tables.slopes.append([*run, metric, own.value, own.low, own.high, len(np.unique(x))])
        tables.lines += _line(run, metric, own, x)


def _add_pictures(
    tables: _Tables, experiment: Experiment, sweep: Series, pictures: Series, metrics: Sequence[str]
) -> None:
    """A Motivation run's points, medians, slopes, lines and ratios, of what ran as the sweep did."""
    run = [pictures.conditions.run_id, pictures.conditions.name]
    frame = pictures.points.dropna(subset=[experiment.column])
    drawn = frame if len(frame) <= _MOST_DRAWN else frame.sample(_MOST_DRAWN, random_state=0)
    tables.left_out += len(frame) - len(drawn)
    for metric in metrics:
        if metric not in frame:
            continue
        alike, reasons = _alike(experiment, sweep, frame, metric)
        tables.refusals += [[run[0], metric, number, reason] for reason, number in reasons.items()]
        rows = frame[alike & frame[metric].notna()]
        if rows.empty:
            continue
        place, values = rows[experiment.column].to_numpy(dtype=float), rows[metric].to_numpy(dtype=float)
        clusters = rows["picture"].to_numpy(dtype=str)
        fitted = stats.points_slope(place, values, clusters)
        reference = sweep.points[experiment.column].to_numpy(float), sweep.points[metric].to_numpy(float)
        ratio = stats.ratio_at_equal_x(*reference, place, values, clusters)
        tables.medians.append(_medians(Series(pictures.conditions, rows), experiment.column, metric))
        tables.slopes.append([*run, metric, fitted.value, fitted.low, fitted.high, len(rows)])
        tables.ratios.append([*run, metric, ratio.value, ratio.low, ratio.high, ratio.n, len(rows) - ratio.n])
        tables.lines += _line(run, metric, fitted, place)
        shown = drawn[drawn.index.isin(rows.index)]
        shown = shown.assign(run=run[0], name=run[1], x=shown[experiment.column], metric=metric, value=shown[metric])
        tables.points.append(shown[["run", "name", "x", "metric", "value", "title"]])


def _alike(
    experiment: Experiment, sweep: Series, points: pd.DataFrame, metric: str
) -> tuple[pd.Series, dict[str, int]]:
    """Which points ran under the sweep's knobs, as far as the latency depends on them, and why how many did not.

    The pictures' grids are what the comparison is about. A knob that one of both does not say refuses nothing here:
    that it cannot be told stands among the differences.
    """
    elsewhere = pd.DataFrame(index=points.index)
    for knob in (Knob.TOP_K, Knob.ACTIVE_BLOCKS, Knob.OUTPUT_TOKENS):
        values = sweep.conditions.knobs[knob]
        if knob is experiment.knob or metric in _UNMOVED[knob] or not values:
            continue
        theirs = setting_values(points, knob)
        # A sweep that turns two knobs at once holds no value that pictures could be measured at.
        other = [each for each in set(theirs.dropna()) if len(values) > 1 or each.agrees(next(iter(values))) is False]
        there = theirs.isin(other)
        if there.any():
            reason = f"{KNOBS[knob]}: {list_values(values)} in the sweep, {list_values(other)} in the pictures"
            elsewhere[reason] = there
    alike = ~elsewhere.any(axis=1)
    if alike.all():
        return alike, {}
    kinds = elsewhere[~alike].groupby(list(elsewhere.columns)).size().rename("points").reset_index().to_dict("records")
    return alike, {"; ".join(reason for reason in elsewhere.columns if kind[reason]): kind["points"] for kind in kinds}


def _medians(series: Series, column: str, metric: str) -> pd.DataFrame:
    rows = []
    for x, group in series.points.groupby(column, sort=True):
        found = stats.median_interval(group[metric].to_numpy(dtype=float))
        if found.n:
            rows.append([x, metric, found.value, found.low, found.high, found.n])
    frame = pd.DataFrame(rows, columns=["x", "metric", "median", "low", "high", "n"])
    return frame.assign(run=series.conditions.run_id, name=series.conditions.name)


def _line(run: list[str], metric: str, fitted: stats.Slope, x: np.ndarray) -> list[list[Any]]:
    if np.isnan(fitted.value) or not x.size:
        return []
    return [[*run, metric, float(place), fitted.at(float(place))] for place in (x.min(), x.max())]


def _sentences(
    experiment: Experiment,
    sweep: Series,
    pictures: Series,
    slopes: pd.DataFrame,
    ratios: pd.DataFrame,
) -> list[str]:
    """The comparison of each latency, and what explains a part of it."""
    run_id = pictures.conditions.run_id
    x = sweep.points[experiment.column]
    own = slopes[slopes["run"] == sweep.conditions.run_id].set_index("metric")
    theirs = slopes[slopes["run"] == run_id].set_index("metric")
    ratio = ratios[ratios["run"] == run_id].set_index("metric")
    found = comparison_sentences(own, theirs, ratio, experiment.per, (float(x.min()), float(x.max())))
    explain = crops_sentences if experiment.knob is Knob.VISION_TOKENS else tokens_sentences
    return found + (explain(sweep.points, pictures.points) if len(theirs) else [])


def _refusal_sentences(refusals: pd.DataFrame, slopes: pd.DataFrame, run_id: str) -> list[str]:
    """What is not compared and why: one sentence for each reason, with the latencies that it concerns."""
    found = []
    compared = set(slopes.loc[slopes["run"] == run_id, "metric"])
    for reason, rows in refusals[refusals["run"] == run_id].groupby("reason", sort=False):
        whole = [METRIC_LABELS[metric] for metric in rows["metric"] if metric not in compared]
        partly = [metric for metric in rows["metric"] if metric in compared]
        if whole:
            found.append(f"{', '.join(whole)}: not compared, since they ran under other knobs ({reason}).")
        if partly:
            number = int(rows.loc[rows["metric"].isin(partly), "points"].max())
            labels = ", ".join(METRIC_LABELS[metric] for metric in partly)
            found.append(
                f"{labels}: {counted(number, 'point')} {are(number)} left out, which ran under other knobs ({reason})."
            )
    return found


def display_slopes(beside: Beside) -> pd.DataFrame:
    """Slopes and ratios as a table for people."""
    ratios = beside.ratios.drop(columns="name")
    rows = beside.slopes.merge(
        ratios.rename(columns={"low": "ratio_low", "high": "ratio_high", "n": "points"}),
        on=["run", "metric"],
        how="left",
    )
    if rows.empty:
        return pd.DataFrame()
    # A latency's runs stand together, in the order in which latencies first come.
    groups = [_slopes_written(group) for _, group in rows.groupby("metric", sort=False)]
    frame = pd.concat(groups, ignore_index=True)
    return frame.loc[:, ~(frame == MISSING).all()]


def _slopes_written(rows: pd.DataFrame) -> pd.DataFrame:
    """One latency's slopes and ratios: in one unit, each column with the same decimals."""
    factor, unit = slope_unit(float(rows["slope"].abs().max()))
    slopes = {name: (factor * rows[name].astype(float)).tolist() for name in ("slope", "low", "high")}
    places = common_decimals(slopes["slope"], list(zip(slopes["low"], slopes["high"], strict=True)))
    ratios = {name: (100 * (rows[name].astype(float) - 1)).tolist() for name in ("ratio", "ratio_low", "ratio_high")}

    def column(values: list[float], decimals: int) -> list[str]:
        return [MISSING if np.isnan(value) else fixed_digits(value, decimals) for value in values]

    return pd.DataFrame(
        {
            "latency": [METRIC_LABELS[metric] for metric in rows["metric"]],
            "run": rows["name"].tolist(),
            "per token": column(slopes["slope"], places),
            "95 % from": column(slopes["low"], places),
            "to": column(slopes["high"], places),
            "unit": unit,
            "over the sweep (%)": column(ratios["ratio"], 2),
            "from (%)": column(ratios["ratio_low"], 2),
            "to (%)": column(ratios["ratio_high"], 2),
            "points": column(rows["points"].astype(float).tolist(), 0),
        }
    )
