"""What is a family's own: data that a file of about ten lines holds. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from profcore.spec.settings import MAX_CROPS

PATCHES, TILES, FIXED = "patches", "tiles", "fixed"
UNIT_TOKENS = 12
"""Merged patches along the side of a unit of a patch-grid model, so that a unit has the 144 tokens of MolmoE's crop."""


@dataclass(frozen=True)
class Family:
    """Models that take pictures alike.

    Attributes:
        name: As pages call it.
        model_types: transformers' model types.
        cut: How a picture becomes tokens: by its own grid of patches, in tiles of one size, or always as many.
        inputs: The function of `families.pixels` that makes the picture's tensors.
        defaults: Fields of a configuration that a file may leave out, as transformers' classes have them.
        most_units: The most tiles that a picture is cut into.
        token_types: Names of inputs that say of each token whether it is the picture's.
        top_k_reason: Why a lower top-k saves no work though there are experts; empty where it does.
    """

    name: str
    model_types: tuple[str, ...]
    cut: str
    inputs: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    most_units: int = MAX_CROPS
    token_types: tuple[str, ...] = ()
    top_k_reason: str = ""
