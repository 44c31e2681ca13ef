"""A model's shape as a run's environment records it. Needs no torch."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from profcore.models.config import MolmoConfig
from profcore.models.families.shape import FamilyShape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from profcore.models.shape import Shape


def shape_record(shape: Shape) -> dict[str, Any]:
    """A model's shape as an environment holds it: of a family's model its names, the knobs' bounds and the whole
    configuration.
    """  # noqa: D205
    if isinstance(shape, MolmoConfig):
        return dataclasses.asdict(shape)
    assert isinstance(shape, FamilyShape)
    names = ("family", "model_type", "n_layers", "num_experts", "top_k", "max_positions")
    return {**{name: getattr(shape, name) for name in names}, "config": dict(shape.config)}


def is_of_shape(environment: Mapping[str, Any], shape: Shape) -> bool:
    """Whether a run measured a model of this shape, as far as it says: a file of one name may hold another by now."""
    said = environment.get("shape")
    return not said or said == json.loads(json.dumps(shape_record(shape)))
