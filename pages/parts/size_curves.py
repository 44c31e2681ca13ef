"""What runs measured over vision tokens, worked out once for all pages and sizes of picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pages.parts.state import service
from profcore.comparisons.size_to_latency import Curve, load_curve, load_curves

if TYPE_CHECKING:
    from profcore.models.shape import Shape


def kept(run_id: str, shape: Shape) -> Curve | None:
    """A run's curve, as `load_curve` gives it."""
    store = service().store
    blocks_and_experts = (shape.n_layers, shape.top_k)
    return service().results.follows(("curve", blocks_and_experts), [run_id], lambda: load_curve(store, run_id, shape))


def of_model(model: str, shape: Shape) -> list[Curve]:
    """The curves of a model, as `load_curves` gives them."""
    return load_curves(service().store, model, shape, load=kept)
