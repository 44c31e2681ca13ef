"""What the page of trade-offs is drawn from: worked out once for all who look, until anything of the run changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from pages.parts.state import service
from profcore.errors import UserError
from profcore.tradeoff.answer_length import length_sentence, over_length
from profcore.tradeoff.budget import competing
from profcore.tradeoff.frontier import find_frontier, fixed
from profcore.tradeoff.latency_model import errors_by_number, fit_latency_model, recalibrated
from profcore.tradeoff.points import flag_notes, load_joint_points

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import pandas as pd

    from profcore.tradeoff.frontier import Frontier
    from profcore.tradeoff.latency_model import LatencyModel
    from profcore.tradeoff.points import JointPoints
Value = TypeVar("Value")


def points(run_id: str) -> JointPoints:
    """The points of a run.

    Raises:
        UserError: As `load_joint_points`.
    """
    store = service().store
    return _kept(("points",), lambda: load_joint_points(store, run_id), run_id)


def flags(run_id: str) -> list[str]:
    """How many of a run's samples are flagged and why, sentences."""
    store = service().store
    return _kept(("flags",), lambda: flag_notes(store, run_id), run_id)


def frontier(run_id: str, metric: str, percentile: float, quality: str, held: tuple[str, object] | None) -> Frontier:
    """The frontier of a run, with one knob held at a value where one is."""
    known = points(run_id)

    def make() -> Frontier:
        return find_frontier(fixed(known, *held) if held else known, metric, percentile, quality)

    return _kept(("frontier", metric, percentile, quality, held), make, run_id)


def model(run_id: str) -> LatencyModel:
    """The latency model of a run.

    Raises:
        UserError: As `fit_latency_model`.
    """
    known = points(run_id)
    return _kept(("model",), lambda: fit_latency_model(known), run_id)


def recalibrated_model(run_id: str, other: str) -> LatencyModel:
    """The model of another run, by its id, drawn to what this one measured.

    Raises:
        UserError: As `fit_latency_model` and `recalibrated`.
    """
    known, begin = points(run_id), model(other)
    return _kept(("recalibrated",), lambda: recalibrated(begin, known), run_id, other)


def model_if_any(run_id: str) -> LatencyModel | None:
    """As `model`; None where too little was measured for one."""
    try:
        return model(run_id)
    except UserError:
        return None


def answers(run_id: str) -> dict[tuple[float, float], pd.DataFrame]:
    """Decode over the length of the answer, by top-k and active blocks, where lengths differ; as `over_length`."""
    store = service().store

    def make() -> dict[tuple[float, float], pd.DataFrame]:
        found = store.answers(run_id).merge(store.settings(run_id)[["setting", "top_k", "active_blocks"]], on="setting")
        knobs = found[["top_k", "active_blocks"]].to_numpy(dtype=float)
        # Those with most answers first.
        kinds, counts = np.unique(knobs[~np.isnan(knobs).any(axis=1)], axis=0, return_counts=True)
        groups = {
            (float(top_k), float(blocks)): over_length(found[(knobs == (top_k, blocks)).all(axis=1)])
            for top_k, blocks in kinds[np.argsort(-counts, kind="stable")]
        }
        return {kind: rows for kind, rows in groups.items() if length_sentence(rows)}

    return _kept(("answers",), make, run_id)


def errors(run_id: str) -> pd.DataFrame:
    """How the model's error falls with the number of settings."""
    fitted = model(run_id)
    return _kept(("errors by number",), lambda: errors_by_number(fitted), run_id)


def offered(run_id: str, tokens: int | None, percentile: float, quality: str) -> tuple[JointPoints, pd.DataFrame]:
    """What a budget chooses from: the points, with answers of one length where one is given, and the predicted ones."""
    whole, fitted = points(run_id), model_if_any(run_id)

    def make() -> tuple[JointPoints, pd.DataFrame]:
        known = whole if tokens is None else fixed(whole, "output_tokens", tokens)
        return known, competing(known, percentile, quality, fitted)

    return _kept(("offered", tokens, percentile, quality), make, run_id)


def _kept(what: tuple[Hashable, ...], make: Callable[[], Value], *run_ids: str) -> Value:
    """What follows from runs, as `Results.follows` keeps it."""
    return service().results.follows(("trade-off", *what), run_ids, make)
