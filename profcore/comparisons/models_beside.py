"""The same experiment over several models, and one picture seen by each of them; pure.

Models are set beside each other that were measured on one card, by one engine, dtype and clock; what else differs
between their runs is named.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from profcore.comparisons import engines
from profcore.comparisons.before_quoting import quoting_lines
from profcore.comparisons.conditions import KNOBS, MACHINE, SHAPE, Conditions, conditions_of, find_differences
from profcore.comparisons.size_to_latency import each_curve, measured_runs, with_joules
from profcore.errors import UserError
from profcore.experiments.knobs import get_experiment
from profcore.models.config import known_shape
from profcore.models.picture import picture_layout
from profcore.results.base import most_looks
from profcore.results.sweep import Result
from profcore.roofline.model_sizes import size_of
from profcore.spec.environments import uncaptured_note
from profcore.spec.stages import TTFT_STAGES, Knob
from profcore.stats import METRIC_LABELS
from profcore.stats.digits import MISSING, written, written_both

if TYPE_CHECKING:
    from collections.abc import Iterable

    from profcore.comparisons.size_to_latency import Curve, Estimate
    from profcore.models.families.token_rules import Layout
    from profcore.models.shape import Shape
    from profcore.storage.read import Reader

SHARED = ("device_name", "engine", "dtype", "clock")
"""What the runs of a group have alike."""

# What a model brings with it.
_MODELS_OWN = (MACHINE["model"], MACHINE["weights"], MACHINE["experts"], MACHINE["attention"], SHAPE)
_MICROSECONDS = 1e3
_JOULES_HOW = {"between": " (read off between its settings)", "beyond": " (beyond its settings)"}


@dataclass(frozen=True)
class ModelGroup:
    """The runs of an experiment that differ in their model alone: run ids by model.

    Attributes:
        title: Card, engine, dtype and clock.
        conditions: The same, as `SHARED` has them.
        runs: Of several of one model the one that a figure rests on first.
    """

    title: str
    conditions: tuple[str, ...]
    runs: dict[str, str]


@dataclass(frozen=True)
class ModelsBeside:
    """Several models on one experiment.

    Attributes:
        rows: As `engines.medians`, with `model`.
        sensitivities: As `engines.sensitivities`, with `model`.
        differences: What else than the model differs between the runs, in words.
        notes: What to know of single models' figures, in sentences.
        results: The runs with samples.
    """

    rows: pd.DataFrame
    sensitivities: pd.DataFrame
    differences: list[str]
    notes: list[str]
    results: list[Result]


def find_model_groups(store: Reader, experiment: str) -> list[ModelGroup]:
    """Runs of an experiment by what they were measured on, those of the most models first."""
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for run_id, environment in store.ranked_environments(experiment).items():
        if model := environment.get("model"):
            key = tuple(str(environment.get(name)) for name in SHARED)
            found.setdefault(key, {}).setdefault(str(model), run_id)
    groups = [ModelGroup(_title(key), key, runs) for key, runs in found.items()]
    return sorted(groups, key=lambda group: -len(group.runs))


def _title(key: tuple[str, ...]) -> str:
    device, engine, dtype, clock = key
    return f"{device}, {engine}, {dtype}" + ("" if clock == "events" else f", {clock} clock")


def load_models_beside(load: Callable[[str], Result | None], experiment_name: str, group: ModelGroup) -> ModelsBeside:
    """The runs of a group together.

    Args:
        load: Gives a run by its id, as `load_result` does of a store.
        experiment_name: Of which they are.
        group: Which.
    """
    experiment = get_experiment(experiment_name)
    rows, slopes, results = [], [], []
    conditions: list[Conditions] = []
    for model, run_id in group.runs.items():
        result = load(run_id)
        if result is None or result.samples.empty:
            continue
        looks = most_looks(result.run["spec"])
        rows.append(engines.medians(experiment, result.samples, looks).assign(model=model))
        slopes.append(engines.sensitivities(experiment, result.samples).assign(model=model))
        conditions.append(conditions_of(result.run, result.settings, model))
        results.append(result)
    return ModelsBeside(
        rows=pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(),
        sensitivities=pd.concat(slopes, ignore_index=True) if slopes else pd.DataFrame(),
        differences=find_differences(conditions, leave_out=(*_MODELS_OWN, *_own_knobs(results))),
        notes=_notes(results),
        results=results,
    )


def _notes(results: list[Result]) -> list[str]:
    """What to know of single models' figures: what was not captured, then what to know before one is quoted."""
    models = {result.run["id"]: str(result.run["environment"].get("model")) for result in results}
    uncaptured = ((models[result.run["id"]], uncaptured_note(result.run["environment"])) for result in results)
    loaded = {result.run["id"]: result for result in results}
    return [*(f"{model}: {note}" for model, note in uncaptured if note), *quoting_lines(loaded.get, models)]


def _own_knobs(results: list[Result]) -> list[str]:
    """Knobs that stand where each model has them: that they differ is the models' own."""
    own = []
    for knob, called in ((Knob.TOP_K, "top_k"), (Knob.ACTIVE_BLOCKS, "active_blocks")):
        if all(_stands(result, called) for result in results):
            own.append(KNOBS[knob])
    return own


def _stands(result: Result, called: str) -> bool:
    """Whether a knob stands where the run's model has it, in every setting."""
    shape = result.run["environment"].get("shape") or {}
    try:
        named = known_shape(str(result.run["environment"].get("model")))
    except UserError:
        return False
    own = {"top_k": shape.get("top_k", named.top_k), "active_blocks": shape.get("n_layers", named.n_layers)}
    return bool((result.settings[called] == own[called]).all())


@dataclass(frozen=True)
class OnePicture:
    """What one model makes of a picture and a question, and takes for it.

    Attributes:
        model: Its name.
        tokens: Its vision tokens; None where it takes no such picture.
        views: The pictures that its vision encoder sees.
        estimate: The time to first token, as measured; None where it was not.
        parameters, active: All parameters, and those that a token uses; None where they are not known.
        how: How the time is known ('measured', 'between', 'beyond'), or why it is not ('too far' from what
            was measured, 'not measured', 'refused').
        reason: Why it takes no such picture; empty where it does.
    """

    model: str
    tokens: int | None
    views: int | None
    estimate: Estimate | None
    parameters: int | None
    active: int | None
    how: str
    reason: str = ""


def one_picture(
    curves_of: Callable[[str, Shape], Iterable[Curve]],
    models: Iterable[str],
    size: tuple[int, int],
    joules_of: Callable[[str, Shape], Iterable[Curve]] | None = None,
) -> list[OnePicture]:
    """A picture of some size as each model sees it, with what was measured on one card by one engine.

    Args:
        curves_of: What runs of a model measured over vision tokens (see `curves_from`).
        models: The models, by name.
        size: Width and height.
        joules_of: As `curves_of`, of runs that measured energy, for models whose first run did not.
    """
    found = []
    for model in models:
        try:
            shape = known_shape(model)
        except UserError:
            # A model that is no more to be found.
            continue
        try:
            layout = picture_layout(shape, *size)
        except UserError as error:
            counts = size_of(model, shape)
            parameters, active = (counts.parameters, counts.active) if counts else (None, None)
            found.append(OnePicture(model, None, None, None, parameters, active, "refused", str(error)))
            continue
        own, estimate = _first_estimate(curves_of(model, shape), layout)
        if estimate and joules_of and math.isnan(estimate.ttft_j):
            alike = (curve for curve in joules_of(model, shape) if curve.alike == own[-1].alike)
            estimate = with_joules(estimate, alike, layout)
        unknown = "too far" if own else "not measured"
        size_known = size_of(model, shape)
        found.append(
            OnePicture(
                model,
                layout.tokens,
                layout.views,
                estimate,
                size_known.parameters if size_known else _said(own, "parameters"),
                size_known.active if size_known else _said(own, "active_parameters"),
                estimate.how if estimate else unknown,
            )
        )
    # Those that are known come first.
    return sorted(found, key=lambda each: (each.estimate is None, each.how in ("not measured", "refused")))


def _first_estimate(curves: Iterable[Curve], layout: Layout) -> tuple[list[Curve], Estimate | None]:
    """What the first curve says that was measured near enough, and all that were asked; those after it are not made."""
    asked = []
    for curve in curves:
        asked.append(curve)
        if estimate := curve.at(layout):
            return asked, estimate
    return asked, None


def _said(curves: list[Curve], field: str) -> int | None:
    """A number of parameters as the runs of a model without a name say it."""
    said = (each.run["environment"].get(field) for each in curves)
    return next((each for each in said if isinstance(each, int)), None)


def curves_from(
    store: Reader,
    conditions: tuple[str, ...],
    load: Callable[[str, Shape], Curve | None] | None = None,
    energy: bool = False,
) -> Callable[[str, Shape], Iterable[Curve]]:
    """What runs of a store measured over vision tokens under some conditions, for `one_picture`.

    Args:
        store: Where the runs are.
        conditions: As `ModelGroup.conditions`.
        load: As `load_curves` takes it.
        energy: Whether only runs that measured joules.
    """

    @cache
    def runs() -> dict[str, dict[str, Any]]:
        asked = store.runs_with_energy() if energy else None
        return {
            run_id: environment
            for run_id, environment in measured_runs(store).items()
            if tuple(str(environment.get(name)) for name in SHARED) == conditions and (asked is None or run_id in asked)
        }

    return lambda model, shape: each_curve(store, model, shape, runs(), load)


def picture_runs(found: list[OnePicture]) -> dict[str, str]:
    """The models whose time is known, by the ids of the runs that it rests on."""
    return {each.estimate.run_id: each.model for each in found if each.estimate}


def picture_differences(store: Reader, found: list[OnePicture]) -> list[str]:
    """What else than the model differs between the runs that the figures of one picture rest on, in words.

    Their knobs are left out: a figure is of settings where these stand as its model has them.
    """
    given = [
        conditions_of(run, store.knobs(run_id), model)
        for run_id, model in picture_runs(found).items()
        if (run := store.measured_on(run_id))
    ]
    return find_differences(given, leave_out=(*_MODELS_OWN, *KNOBS.values()))


def picture_notes(store: Reader, found: list[OnePicture]) -> list[str]:
    """What of each model's run was not captured, then why models take no such picture, in sentences."""
    runs = ((model, store.measured_on(run_id)) for run_id, model in picture_runs(found).items())
    notes = [f"{model}: {note}" for model, run in runs if run and (note := uncaptured_note(run["environment"]))]
    refused: dict[str, list[str]] = {}
    for each in found:
        if each.reason:
            refused.setdefault(each.reason, []).append(each.model)
    return [*notes, *(f"Not {', '.join(models)}: {reason}" for reason, models in refused.items())]


def joules_words(found: list[OnePicture]) -> str:
    """Which models' joules come from another run than their milliseconds, in a sentence; empty where none do."""
    other = [
        f"{each.model}'s from run {each.estimate.joules_run_id}{_JOULES_HOW.get(str(each.estimate.joules_how), '')}"
        for each in found
        if each.estimate and each.estimate.joules_run_id
    ]
    return f"Joules measured in another run, under the same conditions: {', '.join(other)}." if other else ""


def display_pictures(found: list[OnePicture], called: Mapping[str, str] | None = None) -> pd.DataFrame:
    """A table for people: milliseconds, joules, vision tokens and parameters used, a row for each model.

    Args:
        found: As `one_picture`.
        called: What the table calls a model that has a long name.
    """
    rows = []
    for each in found:
        estimate = each.estimate
        middle, interval = (
            written_both(estimate.ttft_ms, estimate.low_ms, estimate.high_ms) if estimate else (MISSING, MISSING)
        )
        rows.append(
            {
                "model": (called or {}).get(each.model, each.model),
                "TTFT (ms)": middle,
                "interval (ms)": interval,
                "joules": written(estimate.ttft_j if estimate else None),
                "vision tokens": MISSING if each.tokens is None else f"{each.tokens:,}",
                "a token uses": _billions(each.active),
                "parameters": _billions(each.parameters),
                "µs per vision token": written(_per_token(estimate.ttft_ms, each) if estimate else None),
                "how": each.how,
            }
        )
    return pd.DataFrame(rows)


def stage_rows(found: list[OnePicture]) -> pd.DataFrame:
    """What each stage takes of each model that was measured: `model`, `stage`, `ms`, `us_per_token`."""
    rows: list[dict[str, Any]] = []
    for each in found:
        if each.estimate is None:
            continue
        for stage in TTFT_STAGES:
            ms = getattr(each.estimate, stage.column)
            rows.append({"model": each.model, "stage": stage.label, "ms": ms, "us_per_token": _per_token(ms, each)})
    return pd.DataFrame(rows, columns=["model", "stage", "ms", "us_per_token"])


def display_slopes(sensitivities: pd.DataFrame, called: Mapping[str, str] | None = None) -> pd.DataFrame:
    """A table for people: what a step of the knob costs each model, in each latency.

    Args:
        sensitivities: As of `ModelsBeside`.
        called: As for `display_pictures`.
    """
    order = list(dict.fromkeys(sensitivities["metric"]))
    rows = sensitivities.sort_values("metric", key=lambda column: column.map(order.index), kind="stable")
    slopes = [
        written_both(*map(_microseconds, row)) for row in zip(rows["slope"], rows["low"], rows["high"], strict=True)
    ]
    return pd.DataFrame(
        {
            "latency": [METRIC_LABELS[metric] for metric in rows["metric"]],
            "model": [(called or {}).get(model, model) for model in rows["model"]],
            "µs per step": [middle for middle, _ in slopes],
            "95 % interval (µs)": [interval for _, interval in slopes],
            "low end (ms)": [written(value) for value in rows["least"]],
            "high end (ms)": [written(value) for value in rows["most"]],
        }
    )


def _per_token(ms: float, each: OnePicture) -> float | None:
    return ms * _MICROSECONDS / each.tokens if each.tokens else None


def _microseconds(milliseconds: float) -> float:
    """In microseconds; what is less than a picosecond is nothing."""
    return round(milliseconds * _MICROSECONDS, 6) + 0.0


def _billions(number: int | None) -> str:
    if number is None:
        return MISSING
    return f"{number / 1e9:.2f} billion" if number >= 1e8 else f"{number / 1e6:.1f} million"
