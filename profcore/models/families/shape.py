"""The shape of a vision-language model of transformers, read from its `config.json`. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from profcore.errors import ModelError
from profcore.models.config_fields import shown
from profcore.models.families import FAMILIES
from profcore.models.families.checks import (
    NO_ENCODER,
    NO_ENCODER_RIGHT,
    check_image_token,
    check_parts,
    check_sizes,
    check_widths,
)
from profcore.models.families.family import Family
from profcore.models.families.fields import (
    EXPERT_FIELDS,
    IMAGE_TOKEN_FIELDS,
    MOST,
    MOST_EXPERTS,
    MOST_LAYERS,
    TOP_K_FIELDS,
    filled,
    processor_limits,
    read_raw,
    whole,
)

_SIDE = 336
"""Pixels along a picture that every model can be given."""


@dataclass(frozen=True)
class FamilyShape:
    """Shape of a vision-language model (see `profcore.models.shape.Shape` for what every shape says).

    Attributes:
        name: As `--model` gives it.
        family: What such models are called, such as 'Qwen3-VL-MoE'.
        model_type: transformers' model type.
        config: The whole configuration, as `config.json` has it, with defaults where it leaves some out.
        source: Where the numbers come from; empty for a file of a person's own.
    """

    name: str
    family: str
    model_type: str
    config: Mapping[str, Any]
    source: str = ""

    @cached_property
    def text(self) -> Mapping[str, Any]:
        """The language model's fields."""
        return self.config.get("text_config") or self.config

    @cached_property
    def vision(self) -> Mapping[str, Any]:
        """The vision encoder's fields."""
        return self.config["vision_config"]

    @cached_property
    def kind(self) -> Family:
        """What is the family's own."""
        return family_of(self.model_type)

    @property
    def n_layers(self) -> int:
        """Number of transformer blocks of the language model."""
        return whole(self.text, ("num_hidden_layers",), most=MOST_LAYERS)

    @property
    def vision_layers(self) -> int:
        """Number of blocks of the vision encoder; 0 where the configuration leaves it to transformers' class."""
        named = next((name for name in ("depth", "num_hidden_layers") if self.vision.get(name) is not None), None)
        return whole(self.vision, (named,), most=MOST_LAYERS) if named else 0

    @property
    def num_experts(self) -> int:
        """Experts that a token is routed among; 0 where there are none."""
        if self.text.get("enable_moe_block") is False:
            return 0
        return whole(self.text, EXPERT_FIELDS, 0, most=MOST_EXPERTS) if whole(self.text, TOP_K_FIELDS, 0) else 0

    @property
    def top_k(self) -> int:
        """Experts each token is routed to, unless the knob says otherwise; 1 where there are none."""
        return whole(self.text, TOP_K_FIELDS, 1) if self.num_experts else 1

    @property
    def max_crops(self) -> int:
        """The most units that a grid may have."""
        return self.kind.most_units

    @property
    def max_positions(self) -> int:
        """Longest sequence, image tokens included."""
        return whole(self.text, ("max_position_embeddings",), MOST)

    @property
    def embedding_size(self) -> int:
        """Rows of the output layer."""
        return whole(self.text, ("vocab_size",))

    @property
    def input_size(self) -> int:
        """Rows of the embeddings, which some models have more of than they may give."""
        return self.embedding_size + whole(self.text, ("additional_vocab_size",), 0)

    @property
    def vocab_size(self) -> int:
        """Token ids that a tokenizer may give."""
        return self.embedding_size

    @property
    def image_token_id(self) -> int:
        """The token that stands where an image token goes."""
        return whole(self.config, IMAGE_TOKEN_FIELDS, least=0)

    @property
    def eos_token_id(self) -> int:
        """The token that ends an answer; -1 where the configuration names none."""
        for fields in (self.text, self.config):
            value = fields.get("eos_token_id")
            first = value[0] if isinstance(value, list) and value else value
            if isinstance(first, int):
                return first
        return -1

    @property
    def top_k_reason(self) -> str:
        """Why top-k cannot be turned, as a sentence; empty where it can."""
        if not self.num_experts:
            return f"{self.name} has no experts to choose from."
        return self.kind.top_k_reason

    @property
    def vision_reason(self) -> str:
        """Why vision tokens cannot be turned, as a sentence; empty where they can."""
        return f"{self.name} has a fixed number of vision tokens." if self.kind.rule == "fixed" else ""

    def row_grids(self) -> tuple[int, ...]:
        """How many units one row of picture may have, from the fewest on; 1 where no row is possible."""
        from profcore.models.families.vision_tokens import possible_grids

        return tuple(columns for _, columns in possible_grids(self)) or (1,)

    def check_grid(self, grid: tuple[int, int]) -> None:
        """Whether a picture can be cut into these rows and columns of units.

        Raises:
            ModelError: It cannot.
        """
        # Here, since those rules know shapes.
        from profcore.models.families.vision_tokens import grid_layout

        grid_layout(self, grid)


def family_of(model_type: str) -> Family:
    """The family of a model type.

    Raises:
        ModelError: There is none.
    """
    if model_type not in FAMILIES:
        raise ModelError(f"The model type {shown(model_type)} belongs to no family that is known here.")
    return FAMILIES[model_type]


def shape_of(name: str, config: Mapping[str, Any], source: str = "") -> FamilyShape:
    """The shape that a configuration describes.

    Args:
        name: As `--model` gives it.
        config: As a `config.json` has it.
        source: Where its numbers come from.

    Raises:
        ModelError: It has no image encoder, its type belongs to no family, or a number is none.
    """
    model_type = config.get("model_type")
    if not isinstance(model_type, str):
        raise ModelError(f"{name} has model_type={shown(model_type)}: a configuration of transformers names its type.")
    if model_type in NO_ENCODER:
        raise ModelError(f"{name} is a {model_type!r}, which has no image encoder to be measured: {NO_ENCODER_RIGHT}")
    if model_type not in FAMILIES:
        # Here, since that asks which transformers is installed, by a module that knows shapes.
        from profcore.models.families.unknown import refuse_type

        refuse_type(name, config, FAMILIES)
    family = family_of(model_type)
    check_parts(name, config)
    check_sizes(name, config)
    shape = FamilyShape(name, family.name, model_type, filled(config, family.defaults), source)
    # Each is a number that there can be, or this says which is not.
    _ = (shape.n_layers, shape.num_experts, shape.top_k, shape.max_positions, shape.embedding_size)
    _ = (shape.image_token_id, shape.vision_layers)
    if "vision_config" in config:
        _check_picture(shape)
        check_image_token(name, shape.image_token_id, shape.input_size)
    part, field = family.projects_to
    check_widths(name, family.projects_to, (shape.config.get(part) or {}).get(field), shape.text.get("hidden_size"))
    if whole(shape.text, EXPERT_FIELDS, 0) and not whole(shape.text, TOP_K_FIELDS, 1, least=0):
        raise ModelError(f"{name} routes to 0 of {whole(shape.text, EXPERT_FIELDS)} experts: top-k is at least 1.")
    if shape.num_experts and shape.top_k > shape.num_experts:
        raise ModelError(f"{name} routes to {shape.top_k} of only {shape.num_experts} experts.")
    return shape


def _check_picture(shape: FamilyShape) -> None:
    """Whether the fields that the rule for pictures reads are numbers that there can be.

    Raises:
        ModelError: Not so.
    """
    from profcore.models.families.vision_tokens import layout

    layout(shape, _SIDE, _SIDE)


def is_of_transformers(config: Mapping[str, Any]) -> bool:
    """Whether a configuration is one that transformers reads, other than the published one of Molmo."""
    # A published Molmo has a d_model and no parts; so have other models, of a type that they name.
    if config.get("model_type") is not None:
        return config["model_type"] != "molmo"
    return any(name in config for name in ("model_type", "text_config", "vision_config")) and "d_model" not in config


def read_family(path: Path, name: str | None = None) -> FamilyShape:
    """The shape that a `config.json`, or the one of a directory, describes.

    Raises:
        ModelError: It cannot be read, or as `shape_of`.
    """
    file = path / "config.json" if path.is_dir() else path
    raw, limits = read_raw(file), file.with_name("preprocessor_config.json")
    if file.name == "config.json" and limits.is_file():
        raw["image_processor"] = processor_limits(read_raw(limits))
    return shape_of(name or str(path), raw)
