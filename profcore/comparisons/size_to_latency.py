"""From a picture's size to the time to first token, by what runs measured; no model of a card, only what was measured.

The vision encoder and the projector go by the pictures that they see, or, where there is one, by its tokens; prefill
goes by the tokens of the prompt. Between two settings that were measured a stage is taken to lie on the line that
joins them. How far that is off is known: each setting between others is left out in turn and read off the rest.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore import stats
from profcore.experiments.knobs import JOINT
from profcore.models.names import NAMED
from profcore.models.recorded import is_of_shape
from profcore.results.base import most_looks
from profcore.spec.stages import TTFT_STAGES, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from profcore.models.families.token_rules import Layout
    from profcore.models.shape import Shape
    from profcore.storage.read import Reader

EXPERIMENTS = ("context_scaling", JOINT.name, "output_tokens", "moe_topk", "transformer_blocks_mask")
"""Experiments with settings at which every knob but vision tokens stands as the model has it, the best first."""

FARTHEST = 2.0
"""Beyond this many times the tokens that were measured nothing is said."""

_TOTAL = "ttft_ms"
_STAGES = tuple(stage.column for stage in TTFT_STAGES)
_NEEDED = (
    *("num_crops", "num_vision_tokens", "num_input_tokens", "num_output_tokens", "total_ms"),
    *(stage.column for stage in Stage),
)
_JOULES = tuple(f"{stage.value}_j" for stage in TTFT_STAGES)


@dataclass(frozen=True)
class Estimate:
    """The time to first token at one size of picture, by one run.

    Attributes:
        run_id: The run.
        card: What it was measured on.
        engine, dtype, weights: How.
        created_at: When.
        source: 'measured' here or 'shipped'.
        ttft_ms: To the first token, with its interval in `low_ms` and `high_ms`: NaN where none can be given.
        vision_encoder_ms, projector_ms, llm_prefill_ms: Its parts.
        least_tokens, most_tokens: The fewest and the most vision tokens that were measured.
        settings: Over how many settings.
        left_out: The largest share by which a setting that is left out is missed; NaN of fewer than three.
        how: 'measured' at just as many tokens, 'between' settings, or 'beyond' them.
        prompt_tokens: Tokens of the prompt besides the picture's.
        ttft_j: Joules up to the first token; NaN where they were not measured.
        joules_run_id: The run that they come from where it is another, measured alike (see `with_joules`).
        joules_how: How that run knows them, as `how`.
        has_experts: Whether its model routes tokens to experts, so that the time depends on where to.
    """

    run_id: str
    card: str
    engine: str
    dtype: str
    weights: str
    created_at: str
    source: str
    ttft_ms: float
    low_ms: float
    high_ms: float
    vision_encoder_ms: float
    projector_ms: float
    llm_prefill_ms: float
    least_tokens: int
    most_tokens: int
    settings: int
    left_out: float
    how: str
    prompt_tokens: int
    ttft_j: float = math.nan
    joules_run_id: str | None = None
    joules_how: str | None = None
    has_experts: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; None for what is not known."""
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(self).items()
        }


def estimate_all(curves: Sequence[Curve], layout: Layout) -> list[Estimate]:
    """What each card and engine takes to the first token of a picture, the runs of this machine first.

    Of several runs of one card, engine, dtype and weights the first that was measured near enough speaks, and for its
    joules, where it has none, the first that has.

    Args:
        curves: As `load_curves`.
        layout: What the model makes of the picture.
    """
    found: dict[tuple[str, ...], Estimate] = {}
    for curve in curves:
        if curve.key not in found and (estimate := curve.at(layout)):
            alike = (each for each in curves if each.alike == curve.alike)
            found[curve.key] = with_joules(estimate, alike, layout)
    return sorted(found.values(), key=lambda each: (each.source != "measured", each.card, each.ttft_ms))


def with_joules(estimate: Estimate, curves: Iterable[Curve], layout: Layout) -> Estimate:
    """An estimate with the joules of another run where its own has none: energy is often measured in a run of its own.

    Args:
        estimate: Of a picture.
        curves: Of runs that were measured alike (see `Curve.alike`), those that a figure rests on first.
        layout: What the model makes of the picture.
    """
    if not math.isnan(estimate.ttft_j):
        return estimate
    for curve in curves:
        other = curve.at(layout) if curve.points["joules"].notna().all() else None
        if other and not math.isnan(other.ttft_j):
            return replace(estimate, ttft_j=other.ttft_j, joules_run_id=other.run_id, joules_how=other.how)
    return estimate


def measured_runs(store: Reader) -> dict[str, dict[str, Any]]:
    """The environments of all runs that a curve may come from, by their ids; those that a figure rests on first.

    Sweeps of vision tokens come before joint runs and these before sweeps of other knobs; what was imported is left
    out, as nobody measured it here.
    """
    return {
        run_id: environment
        for experiment in EXPERIMENTS
        for run_id, environment in store.ranked_environments(experiment).items()
    }


def load_curves(
    store: Reader, model: str, shape: Shape, load: Callable[[str, Shape], Curve | None] | None = None
) -> list[Curve]:
    """What runs of a model measured over vision tokens, those that a figure rests on first.

    Args:
        store: Where the runs are.
        model: As the runs' environment names it.
        shape: The model's.
        load: Gives the curve of a run by its id, where it is kept; else as `load_curve`.
    """
    return list(each_curve(store, model, shape, measured_runs(store), load))


def each_curve(
    store: Reader,
    model: str,
    shape: Shape,
    runs: Mapping[str, Mapping[str, Any]],
    load: Callable[[str, Shape], Curve | None] | None = None,
) -> Iterator[Curve]:
    """As `load_curves`, one after another as they are asked for, of some runs.

    Args:
        store: Where the runs are.
        model: As the runs' environment names it.
        shape: The model's.
        runs: As `measured_runs` gives all of them.
        load: As `load_curves` takes it.
    """
    load = load or partial(load_curve, store)
    for run_id, environment in runs.items():
        if environment.get("model") == model and _is_the_same(environment, model, shape):
            curve = load(run_id, shape)
            if curve is not None:
                yield curve


def _is_the_same(environment: Mapping[str, Any], model: str, shape: Shape) -> bool:
    """Whether a run measured the model of that name as it is now: a file of one's own may have changed since."""
    return model in NAMED or is_of_shape(environment, shape)


@dataclass(frozen=True)
class Curve:
    """What a run measured over vision tokens.

    Attributes:
        run: As `Reader.measured_on`.
        points: A row for each number of views and tokens, by tokens: `views`, `tokens`, `prompt` (tokens of the prompt
            besides), the stages' medians, `ttft_ms` with `low` and `high`, `joules` up to the first token and those of
            its stages, each NaN where it was not measured.
    """

    run: dict[str, Any]
    points: pd.DataFrame

    @property
    def key(self) -> tuple[str, ...]:
        """What runs have alike of which one speaks for all: card, engine, dtype and weights."""
        return tuple(str(self.run["environment"].get(name)) for name in ("device_name", "engine", "dtype", "weights"))

    @property
    def alike(self) -> tuple[Any, ...]:
        """What runs have alike of which one's joules may stand beside another's milliseconds: the question as well."""
        environment, sweep = self.run["environment"], self.run["spec"].get("sweep") or {}
        how = tuple(str(environment.get(name)) for name in ("experts", "attention", "clock"))
        return (*self.key, *how, sweep.get("prompt"), tuple(self.points["prompt"].agg(["min", "max"])))

    def at(self, layout: Layout) -> Estimate | None:
        """The time to first token of a picture; None where it is too far from what was measured."""
        tokens = self.points["tokens"]
        if len(tokens) < 2 or not tokens.min() / FARTHEST <= layout.tokens <= tokens.max() * FARTHEST:
            return self._only(layout) if len(tokens) == 1 else None
        same = self.points[(tokens == layout.tokens) & (self.points["views"] == layout.views)]
        if len(same):
            return self._measured(same.iloc[0], self.left_out)
        parts = _read(self.points, layout.views, layout.tokens)
        total = sum(parts.values())
        inside = self._is_inside(layout)
        share = self._measured_share() + self.left_out * (1 if inside else 2)
        how, prompt = "between" if inside else "beyond", _on_line(tokens, self.points["prompt"], layout.tokens)
        found = self._estimate(parts, total, total * (1 - share), total * (1 + share), how, self.left_out, prompt)
        return replace(found, ttft_j=self._joules(layout))

    def _is_inside(self, layout: Layout) -> bool:
        """Whether a picture lies between those that were measured, in its tokens and in what the encoder goes by."""
        read_at = {"tokens": layout.tokens}
        if _seen(self.points) == "views":
            read_at["views"] = layout.views
        return all(self.points[name].min() <= place <= self.points[name].max() for name, place in read_at.items())

    def _joules(self, layout: Layout) -> float:
        """Joules on the lines that join those of each stage; of the whole where a stage has none by itself."""
        if self.points[list(_JOULES)].notna().all(axis=None):
            return sum(_read(self.points, layout.views, layout.tokens, _JOULES).values())
        return _on_line(self.points["tokens"], self.points["joules"], layout.tokens)

    def _measured(self, row: pd.Series, left_out: float) -> Estimate:
        """What was measured at just such a picture."""
        parts = {stage: float(row[stage]) for stage in _STAGES}
        found = self._estimate(parts, row[_TOTAL], row["low"], row["high"], "measured", left_out, row["prompt"])
        return replace(found, ttft_j=float(row["joules"]))

    def _only(self, layout: Layout) -> Estimate | None:
        """What was measured at the one number of tokens that there is."""
        row = self.points.iloc[0]
        return self._measured(row, math.nan) if row["tokens"] == layout.tokens else None

    @cached_property
    def left_out(self) -> float:
        """The largest share by which a setting between others is missed once it is left out; NaN where none is."""
        missed = []
        for place in range(1, len(self.points) - 1):
            row, rest = self.points.iloc[place], self.points.drop(self.points.index[place])
            predicted = sum(_read(rest, row["views"], row["tokens"]).values())
            missed.append(abs(predicted / row[_TOTAL] - 1))
        return max(missed, default=math.nan)

    def _measured_share(self) -> float:
        """The widest half interval of a median, as a share of it; 0 where none has an interval."""
        half = (self.points["high"] - self.points["low"]) / 2 / self.points[_TOTAL]
        return float(half.max()) if half.notna().any() else 0.0

    def _estimate(
        self, parts: dict[str, float], total: float, low: float, high: float, how: str, left_out: float, prompt: float
    ) -> Estimate:
        environment = self.run["environment"]
        return Estimate(
            run_id=self.run["id"],
            card=str(environment.get("device_name")),
            engine=str(environment.get("engine")),
            dtype=str(environment.get("dtype")),
            weights=str(environment.get("weights")),
            created_at=str(self.run["created_at"]),
            source=self.run["source"],
            ttft_ms=float(total),
            low_ms=float(low),
            high_ms=float(high),
            **parts,
            least_tokens=int(self.points["tokens"].min()),
            most_tokens=int(self.points["tokens"].max()),
            settings=len(self.points),
            left_out=float(left_out),
            how=how,
            prompt_tokens=round(float(prompt)),
            joules_run_id=None,
            joules_how=None,
            has_experts=environment.get("experts") != "none",
        )


def load_curve(store: Reader, run_id: str, shape: Shape) -> Curve | None:
    """What a run measured over vision tokens where every other knob stands as the model has it; None where it did not.

    Args:
        store: Where it is.
        run_id: The run's.
        shape: The model's.
    """
    run, settings = store.measured_on(run_id), store.settings(run_id)
    samples = pd.DataFrame(store.columns(run_id, _NEEDED)).reindex(columns=["setting", *_NEEDED])
    if run is None or samples.empty:
        return None
    own = settings[(settings["active_blocks"] == shape.n_layers) & (settings["top_k"] == shape.top_k)]
    samples = samples[samples["setting"].isin(own["setting"])]
    samples = samples.dropna(subset=["num_crops", "num_vision_tokens", "num_input_tokens", *_STAGES])
    if samples.empty:
        return None
    # Output tokens change nothing before the first: settings that differ in them alone are one.
    joules = own.set_index("setting")[list(_JOULES)].astype(float)
    joules = joules.assign(joules=_joules(own.set_index("setting")))
    samples = samples.join(joules, on="setting").assign(
        setting=samples.groupby(["num_vision_tokens", "num_crops"]).ngroup()
    )
    summary = stats.summarise(samples, stats.interval_for(most_looks(run["spec"])))
    medians = summary.pivot(index="setting", columns="metric", values="median")
    first = samples.groupby("setting")[["num_crops", "num_vision_tokens", "num_input_tokens"]].median()
    totals = summary[summary["metric"] == _TOTAL].set_index("setting")[["low", "high"]]
    points = medians[[*_STAGES, _TOTAL]].join(totals)
    points = points.assign(
        views=first["num_crops"],
        tokens=first["num_vision_tokens"],
        prompt=first["num_input_tokens"] - first["num_vision_tokens"],
    ).join(samples.groupby("setting")[list(joules)].median())
    return Curve(run, points.astype(float).sort_values(["tokens", "views"]).reset_index(drop=True))


def _joules(settings: pd.DataFrame) -> pd.Series:
    """What each setting takes up to the first token: as a whole where it makes no other, else its stages together."""
    stages = settings[list(_JOULES)].astype(float).sum(axis=1, min_count=len(_JOULES))
    return settings["total_j"].astype(float).where(settings["output_tokens"] == 1, stages)


def _seen(points: pd.DataFrame) -> str:
    """What vision encoder and projector go by: views, or tokens where there is one view whatever the picture."""
    return "views" if points["views"].nunique() > 1 else "tokens"


def _read(points: pd.DataFrame, views: float, tokens: float, columns: tuple[str, ...] = _STAGES) -> dict[str, float]:
    """Each stage at a picture, on the lines that join what was measured; `columns` are the stages', prefill last."""
    seen, places = _seen(points), {"views": views, "tokens": tokens}
    *vision, words = columns
    found = {stage: _on_line(points[seen], points[stage], places[seen]) for stage in vision}
    return {**found, words: _on_line(points["tokens"], points[words], tokens)}


def _on_line(x: pd.Series, y: pd.Series, place: float) -> float:
    """A value between neighbours; beyond the ends on the line through the first, or the last, third of the points."""
    if y.isna().any():
        return math.nan
    at, places = np.unique(x.to_numpy(float), return_inverse=True)
    values = np.bincount(places, weights=y.to_numpy(float)) / np.bincount(places)
    if len(at) == 1:
        return float(values[0])
    if at[0] <= place <= at[-1]:
        return float(np.interp(place, at, values))
    number = max(2, len(at) // 3)
    ends = slice(0, number) if place < at[0] else slice(-number, None)
    slope, offset = np.polyfit(at[ends], values[ends], 1)
    return float(max(slope * place + offset, 0.0))
