"""A latency model of one engine on one card: fitted to a joint run's settings, it predicts those not measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore.errors import UserError
from profcore.models.recorded import run_shape
from profcore.spec.text import counted
from profcore.tradeoff.fitting import coefficient_draws, least_squares, nearest
from profcore.tradeoff.latencies import METRICS, VISION
from profcore.tradeoff.left_out import Errors, beyond, by_folds, by_number, reach
from profcore.tradeoff.points import KNOBS
from profcore.tradeoff.terms import OTHER, STAGE_NAMES, STEP, TERMS, Surroundings, columns_of, setting_quantities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from profcore.tradeoff.points import JointPoints

FEWEST = max(len(terms) for terms in TERMS.values()) + 1
"""Settings that a latency model needs: one more than its largest stage has coefficients."""

FEWEST_TO_RECALIBRATE = 5
_NUMBERS = (10, 15, 20, 30, 45, 60, 90, 120, 180)
_TURNED = ("num_crops", "top_k", "active_blocks", "output_tokens")
PREDICTED = (VISION, "llm_prefill_ms", STEP, "llm_decode_ms", "ttft_ms", "total_ms")
"""Metrics that a model predicts: those of its stages, and what follows from them."""


@dataclass(frozen=True)
class Stage:
    """A stage's terms with their coefficients.

    Attributes:
        metric: Which latency it is.
        coefficients: In milliseconds for one of each term of `TERMS`; [terms].
        low: Lower ends of their 95 % intervals.
        high: Upper ends.
    """

    metric: str
    coefficients: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def predict(self, found: Mapping[str, np.ndarray]) -> np.ndarray:
        """Milliseconds of each setting, from its quantities; [settings]."""
        return columns_of(self.metric, found) @ self.coefficients


@dataclass(frozen=True)
class LatencyModel:
    """What each stage takes, as a sum of physical terms, and how far that is off on settings it has not seen.

    Attributes:
        stages: By metric.
        around: What of model and card the terms depend on.
        environment: What it was fitted on.
        settings: To how many settings.
        held: Knobs that never varied, with their value: of another value the model says nothing.
        left_out: For each setting and metric what was measured and what a fit that had not seen it predicts; columns
            `metric`, `point`, `measured`, `predicted` and the knobs.
        reaches: How far the 95 % of a prediction reach to either side, as a share of it, by metric.
        points: The settings, as `JointResult.points`.
        drawn: Whether its coefficients were drawn towards another model's (see `recalibrated`).
    """

    stages: dict[str, Stage]
    around: Surroundings
    environment: Mapping[str, Any]
    settings: int
    held: dict[str, Any]
    left_out: pd.DataFrame
    reaches: dict[str, float]
    points: pd.DataFrame = field(repr=False)
    drawn: bool = False

    def predict(self, points: pd.DataFrame) -> pd.DataFrame:
        """The metrics of `PREDICTED` for some settings, in milliseconds; [settings], NaN where a knob is not known.

        Args:
            points: `num_crops`, `num_input_tokens`, `top_k`, `active_blocks`, `output_tokens`, and `prefill_experts`
                where they were counted.
        """
        found = setting_quantities(points, self.around)
        stages = {metric: stage.predict(found) for metric, stage in self.stages.items()}
        return combined(stages, points["output_tokens"].to_numpy(dtype=float))

    def interval(self, metric: str, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The 95 % of some predictions of a metric; NaN where too few settings were left out to tell.

        Shapes:
            predicted: (settings,); returns (settings,) each.
        """
        reaches = self.reaches.get(metric, np.inf)
        reaches = reaches if np.isfinite(reaches) else np.nan
        return predicted * (1 - reaches), predicted * (1 + reaches)

    def errors(self) -> dict[str, Errors]:
        """How far predictions are off on settings left out, a tenth at a time, by metric."""
        groups = self.left_out.groupby("metric", sort=False)
        return {
            str(metric): Errors.of(rows["predicted"].to_numpy(), rows["measured"].to_numpy()) for metric, rows in groups
        }


def fit_latency_model(points: JointPoints, seed: int = 0) -> LatencyModel:
    """A latency model of a joint run, from the medians of its settings.

    Args:
        points: As `joint_points`; samples of several runs are put together with `pooled`.
        seed: Of the folds and draws.

    Raises:
        UserError: There are too few settings for its coefficients, or no knob varies.
    """
    measured = measured_medians(points)
    enough = measured[["llm_prefill_ms", VISION]].notna().all(axis=1).to_numpy()
    if not enough.any():
        raise UserError(
            "This run does not tell vision from prefill, and a latency model is one of stages: fit it to a run that "
            "does."
        )
    points, measured = points.where(enough), measured[enough].reset_index(drop=True)
    table = _with_lengths(points)
    if len(table) < FEWEST:
        raise UserError(
            f"A latency model has up to {FEWEST - 1} coefficients for a stage, and this run has "
            f"{counted(len(table), 'setting')} with samples: measure at least {FEWEST}, better 30."
        )
    varied = {knob: table[knob].nunique(dropna=True) for knob in _TURNED}
    if max(varied.values()) < 2:
        raise UserError("No knob varies in this run, so nothing says what one costs: measure several values of each.")
    around = Surroundings.of(points.environment)
    found, generator = setting_quantities(table, around), np.random.default_rng(seed)
    if np.isfinite(found["blocks"]).sum() < FEWEST:
        raise UserError(
            "This run does not say the crops, prompt, top-k and blocks of its settings, of which a latency model is "
            "made: fit one to a run measured here."
        )
    stages, guessed = {}, {}
    for metric in TERMS:
        columns, latencies = columns_of(metric, found), measured[metric].to_numpy()
        known = np.isfinite(latencies) & (latencies > 0) & np.isfinite(columns).all(axis=1)
        guess = np.full(len(table), np.nan)
        if known.sum() < FEWEST:
            stages[metric] = _nothing_of(metric)
        else:
            stages[metric] = _fitted(metric, columns[known], latencies[known], generator)
            guess[known] = by_folds(columns[known], latencies[known], seed)
        guessed[metric] = guess
    predicted = combined(guessed, table["output_tokens"].to_numpy(dtype=float))
    left_out = _left_out(table, measured, predicted)
    reaches = _reaches(left_out)
    held = {knob: table[knob].dropna().iloc[0] for knob, number in varied.items() if number == 1}
    return LatencyModel(stages, around, dict(points.environment), len(table), held, left_out, reaches, table)


def recalibrated(model: LatencyModel, points: JointPoints, seed: int = 0) -> LatencyModel:
    """A model for another card or engine, from few of its settings: each coefficient drawn towards the known model's.

    Args:
        model: Fitted to many settings.
        points: Few settings of the other, about ten.
        seed: Of the draws.

    Raises:
        UserError: There are fewer than five settings, or they are of a model of another shape.
    """
    shapes = [run_shape(dict(each)) for each in (model.environment, points.environment)]
    if None not in shapes and shapes[0] != shapes[1]:
        raise UserError(
            f"{points.run_id} measured a model of another shape, whose stages cost other work: recalibrate with a run "
            "of the same one on another card or engine."
        )
    measured, table = measured_medians(points), _with_lengths(points)
    if len(table) < FEWEST_TO_RECALIBRATE:
        raise UserError(
            f"{counted(len(table), 'setting')} cannot recalibrate a latency model: measure at least "
            f"{FEWEST_TO_RECALIBRATE}, better 10, over the range of each knob."
        )
    around = Surroundings.of(points.environment)
    found, stages, guessed = setting_quantities(table, around), {}, {}
    for metric, known in model.stages.items():
        columns, latencies = columns_of(metric, found), measured[metric].to_numpy()
        there = np.isfinite(latencies) & (latencies > 0) & np.isfinite(columns).all(axis=1)
        guessed[metric] = np.full(len(latencies), np.nan)
        if there.sum() < FEWEST_TO_RECALIBRATE or not known.coefficients.any():
            stages[metric] = known
            continue
        columns, latencies = columns[there], latencies[there]
        coefficients = nearest(columns, latencies, known.coefficients)
        unknown = np.full(len(coefficients), np.nan)
        stages[metric] = Stage(metric, coefficients, unknown, unknown)
        places = np.flatnonzero(there)
        for left in np.array_split(np.random.default_rng(seed).permutation(len(places)), min(10, len(places))):
            seen = np.setdiff1d(np.arange(len(places)), left)
            guessed[metric][places[left]] = columns[left] @ nearest(columns[seen], latencies[seen], known.coefficients)
    predicted = combined(guessed, table["output_tokens"].to_numpy(dtype=float))
    left_out = _left_out(table, measured, predicted)
    reaches = _reaches(left_out)
    environment = dict(points.environment)
    return LatencyModel(stages, around, environment, len(table), model.held, left_out, reaches, table, drawn=True)


def _with_lengths(points: JointPoints) -> pd.DataFrame:
    """The points with the median length of their answers where they were not asked for one, but ended by themselves."""
    asked = points.table["output_tokens"].to_numpy(dtype=float)
    answered = points.latencies.percentiles("num_output_tokens", 50)
    return points.table.assign(output_tokens=np.where(np.isnan(asked), answered, asked))


def measured_medians(points: JointPoints) -> pd.DataFrame:
    """The medians of each point: the stages of `TERMS`, and the metrics of `PREDICTED`; NaN where there are none."""
    names = dict.fromkeys((*TERMS, *PREDICTED))
    return pd.DataFrame({name: points.latencies.percentiles(name, 50) for name in names})


def combined(stages: Mapping[str, np.ndarray], output_tokens: np.ndarray) -> pd.DataFrame:
    """The metrics of `PREDICTED` from the stages they consist of."""
    steps = np.maximum(output_tokens - 1, 0)
    decode = np.where(steps > 0, steps * stages[STEP], 0.0)
    ttft = stages[VISION] + stages["llm_prefill_ms"]
    other = np.nan_to_num(stages[OTHER])
    return pd.DataFrame(
        {
            VISION: stages[VISION],
            "llm_prefill_ms": stages["llm_prefill_ms"],
            STEP: np.where(steps > 0, stages[STEP], np.nan),
            "llm_decode_ms": decode,
            "ttft_ms": ttft,
            "total_ms": ttft + decode + other,
        }
    )


def extrapolation_errors(model: LatencyModel) -> dict[tuple[str, str], Errors]:
    """The errors on a knob's largest value of fits to all others, by metric and knob.

    None of a model that was recalibrated: fits to its few settings alone are not how it was made.
    """
    if model.drawn:
        return {}
    found = setting_quantities(model.points, model.around)
    measured = model.left_out.pivot(index="point", columns="metric", values="measured")
    errors = {}
    for metric in (VISION, "llm_prefill_ms", STEP):
        columns, latencies = columns_of(metric, found), measured[metric].to_numpy()
        known = np.isfinite(latencies) & (latencies > 0) & np.isfinite(columns).all(axis=1)
        for knob in _TURNED:
            values = model.points[knob].to_numpy(dtype=float)[known]
            if known.sum() and np.unique(values).size > 2:
                errors[metric, knob] = Errors.of(beyond(columns[known], latencies[known], values), latencies[known])
    return {key: each for key, each in errors.items() if each.n}


def errors_by_number(model: LatencyModel, seed: int = 0) -> pd.DataFrame:
    """How the error on other settings falls with the number measured: `metric`, `settings`, `median`, `p95`, `n`."""
    found, rows = setting_quantities(model.points, model.around), []
    measured = model.left_out.pivot(index="point", columns="metric", values="measured")
    for metric in (VISION, "llm_prefill_ms", STEP):
        columns, latencies = columns_of(metric, found), measured[metric].to_numpy()
        known = np.isfinite(latencies) & (latencies > 0) & np.isfinite(columns).all(axis=1)
        sizes = [size for size in _NUMBERS if size <= 0.8 * known.sum()]
        for size, errors in by_number(columns[known], latencies[known], sizes, seed=seed).items():
            rows.append({"metric": metric, "settings": size, **vars(errors)})
    return pd.DataFrame(rows, columns=["metric", "settings", "median", "p95", "n"])


def model_sentences(model: LatencyModel) -> list[str]:
    """How good a model is, and what it says nothing of, a sentence each."""
    said = []
    errors = model.errors()
    for metric in (VISION, "llm_prefill_ms", STEP, "total_ms"):
        if (error := errors.get(metric)) and error.n:
            name = STAGE_NAMES.get(metric, METRICS.get(metric, metric))
            said.append(
                f"{name}: off by {error.median:.1%} in the median and {error.p95:.1%} at P95 on settings left out."
            )
    for knob, value in model.held.items():
        said.append(
            f"{KNOBS[knob]} never varies here (it is {value:g}), so the model says nothing of other values: measure "
            "some."
        )
    if not np.isfinite(model.reaches.get("total_ms", np.inf)):
        said.append("Predictions have no interval: that takes at least 19 settings.")
    return said


def _fitted(metric: str, columns: np.ndarray, latencies: np.ndarray, generator: np.random.Generator) -> Stage:
    coefficients = least_squares(columns, latencies)
    draws = coefficient_draws(columns, latencies, generator)
    low, high = np.percentile(draws, (2.5, 97.5), axis=0)
    return Stage(metric, coefficients, low, high)


def _nothing_of(metric: str) -> Stage:
    """A stage of which too little was measured, such as decode where every answer is one token long."""
    unknown = np.full(len(TERMS[metric]), np.nan)
    return Stage(metric, unknown, unknown, unknown)


def _reaches(left_out: pd.DataFrame) -> dict[str, float]:
    """How far the 95 % of a prediction reach, by metric."""
    groups = left_out.groupby("metric", sort=False)
    return {str(metric): reach(rows["predicted"].to_numpy(), rows["measured"].to_numpy()) for metric, rows in groups}


def _left_out(table: pd.DataFrame, measured: pd.DataFrame, predicted: pd.DataFrame) -> pd.DataFrame:
    knobs = table[[*_TURNED, "label"]]
    parts = [
        knobs.assign(metric=metric, point=np.arange(len(table)), measured=measured[metric], predicted=predicted[metric])
        for metric in PREDICTED
    ]
    return pd.concat(parts, ignore_index=True)
