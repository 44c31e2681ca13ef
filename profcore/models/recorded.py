"""A model's shape as a run's environment records it. Needs no torch."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from profcore.errors import UserError
from profcore.models.config import PRESETS, MolmoConfig
from profcore.models.families.shape import FamilyShape, shape_of
from profcore.models.shapes.shape import SHAPES_CONFIG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from profcore.models.shape import Shape

_LARGEST = 2**40


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


def recorded_shape(environment: Mapping[str, Any]) -> Shape | None:
    """The shape of the model that a run measured, whichever model; None where its environment says none that can be."""
    if found := run_shape(environment):
        return found
    record = environment.get("shape")
    if not isinstance(record, dict) or not isinstance(record.get("config"), dict):
        return None
    try:
        return shape_of(str(environment.get("model")), record["config"])
    except UserError:
        return None


def run_shape(environment: Mapping[str, Any]) -> MolmoConfig | None:
    """The shape of the model that a run measured, where its environment says one that can be."""
    shape = environment.get("shape")
    if not shape:
        return PRESETS.get(str(environment.get("model")))
    try:
        found = MolmoConfig(**{**shape, "vit_layers": tuple(shape["vit_layers"])})
    except (TypeError, KeyError):
        return None
    return found if _can_be(found) else None


def is_small_trained(environment: Mapping[str, Any]) -> bool:
    """Whether a run measured the small model that is trained on drawn pictures, by whatever name."""
    return environment.get("weights") == "real" and run_shape(environment) == SHAPES_CONFIG


def family_of_run(environment: Mapping[str, Any]) -> str | None:
    """The family of the model that a run measured; None for MolmoE and for what nobody knows."""
    family = (environment.get("shape") or {}).get("family")
    return family if isinstance(family, str) else None


def _can_be(shape: MolmoConfig) -> bool:
    """Whether each number of a shape is one, since a file may say anything."""
    values = dataclasses.asdict(shape)
    layers = values.pop("vit_layers")
    numbers = all(type(value) in (int, float) and 0 < value < _LARGEST for value in values.values())
    return numbers and all(type(layer) is int and abs(layer) <= shape.vit_layers_total for layer in layers)
