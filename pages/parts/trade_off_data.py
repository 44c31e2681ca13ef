"""What the page of trade-offs is drawn from: worked out once for all who look, and kept by run and count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pages.parts.state import service
from profcore.errors import UserError
from profcore.tradeoff.answer_length import length_sentence, over_length
from profcore.tradeoff.budget import competing
from profcore.tradeoff.frontier import find_frontier, fixed
from profcore.tradeoff.latency_model import errors_by_number, fit_latency_model, recalibrated
from profcore.tradeoff.points import load_joint_points

if TYPE_CHECKING:
    import pandas as pd

    from profcore.tradeoff.frontier import Frontier
    from profcore.tradeoff.latency_model import LatencyModel
    from profcore.tradeoff.points import JointPoints

# The samples are in the key: as long as their number is the same, so is what follows from them.
_KEPT_S = 3600.0


def points(run_id: str, samples: int) -> JointPoints:
    """The points of a run.

    Raises:
        UserError: As `load_joint_points`.
    """
    store = service().store
    return service().shared.get(("points", run_id, samples), lambda: load_joint_points(store, run_id), _KEPT_S)


def frontier(
    run_id: str, samples: int, metric: str, percentile: float, quality: str, held: tuple[str, object] | None
) -> Frontier:
    """The frontier of a run, with one knob held at a value where one is."""
    known = points(run_id, samples)

    def make() -> Frontier:
        return find_frontier(fixed(known, *held) if held else known, metric, percentile, quality)

    return service().shared.get(("frontier", run_id, samples, metric, percentile, quality, held), make, _KEPT_S)


def model(run_id: str, samples: int) -> LatencyModel:
    """The latency model of a run.

    Raises:
        UserError: As `fit_latency_model`.
    """
    known = points(run_id, samples)
    return service().shared.get(("model", run_id, samples), lambda: fit_latency_model(known), _KEPT_S)


def recalibrated_model(run_id: str, samples: int, other: tuple[str, int]) -> LatencyModel:
    """The model of another run, by its id and number of samples, drawn to what this one measured.

    Raises:
        UserError: As `fit_latency_model` and `recalibrated`.
    """
    known, begin = points(run_id, samples), model(*other)
    key = ("recalibrated", run_id, samples, *other)
    return service().shared.get(key, lambda: recalibrated(begin, known), _KEPT_S)


def model_if_any(run_id: str, samples: int) -> LatencyModel | None:
    """As `model`; None where too little was measured for one."""
    try:
        return model(run_id, samples)
    except UserError:
        return None


def answers(run_id: str, samples: int) -> dict[tuple[float, float], pd.DataFrame]:
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

    return service().shared.get(("answers", run_id, samples), make, _KEPT_S)


def errors(run_id: str, samples: int) -> pd.DataFrame:
    """How the model's error falls with the number of settings."""
    fitted = model(run_id, samples)
    return service().shared.get(("errors by number", run_id, samples), lambda: errors_by_number(fitted), _KEPT_S)


def offered(
    run_id: str, samples: int, tokens: int | None, percentile: float, quality: str
) -> tuple[JointPoints, pd.DataFrame]:
    """What a budget chooses from: the points, with answers of one length where one is given, and the predicted ones."""
    whole, fitted = points(run_id, samples), model_if_any(run_id, samples)

    def make() -> tuple[JointPoints, pd.DataFrame]:
        known = whole if tokens is None else fixed(whole, "output_tokens", tokens)
        return known, competing(known, percentile, quality, fitted)

    return service().shared.get(("offered", run_id, samples, tokens, percentile, quality), make, _KEPT_S)
