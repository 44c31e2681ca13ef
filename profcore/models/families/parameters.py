"""How many parameters a model has and one token uses, and the memory they take; no torch.

Of the named shapes they were counted with no memory behind the modules (see `counting`), and stand beside the shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a parameter, by the name of its type."""


@dataclass(frozen=True)
class FamilyParameters:
    """A model's parameters by part.

    Attributes:
        total: All of them, tied ones once.
        vision_encoder: Of the vision encoder, the projector inside of it not counted.
        projector: Of what stands between it and the language model.
        experts: Of routed experts, all of them.
        per_top_k: Those of one routed expert in every block that has some: what one step of top-k costs a token.
        embeddings: Of the table of input embeddings, of which a token reads one row.
        tied: Whether the output layer is the table of embeddings.
    """

    total: int
    vision_encoder: int
    projector: int
    experts: int
    per_top_k: int
    embeddings: int
    tied: bool

    def active(self, top_k: int) -> int:
        """Parameters that one token of the prompt uses: all but the routed experts that are not its own."""
        return self.total - self.experts + (top_k * self.per_top_k if self.experts else 0)

    def memory_bytes(self, dtype: str) -> int:
        """Bytes of all parameters in a type.

        Args:
            dtype: A name of `ITEM_BYTES`.
        """
        return self.total * ITEM_BYTES[dtype]

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> FamilyParameters:
        """From plain JSON values, as a catalogue's entry or a run's environment holds them."""
        return cls(**{name: value[name] for name in cls.__dataclass_fields__})
