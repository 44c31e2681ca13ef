"""Which terms each stage's latency is made of: products of quantities, all of them physical and none negative."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore.errors import UserError
from profcore.images.geometry import PATCHES_PER_CROP
from profcore.models.config import PRESETS
from profcore.models.recorded import family_of_run, run_shape
from profcore.tradeoff.latencies import VISION
from profcore.tradeoff.quantities import quantities

if TYPE_CHECKING:
    from collections.abc import Mapping

Term = tuple[str, ...]
"""The names of the quantities that are multiplied; of none for a constant."""

OTHER, STEP = "other_ms", "tpot_ms"

TERMS: dict[str, tuple[Term, ...]] = {
    VISION: ((), ("crops",), ("vision rounds",), ("vision MLP rounds",), ("vision attention rounds",)),
    "llm_prefill_ms": (
        (),
        ("blocks",),
        ("blocks", "tokens"),
        ("blocks", "tokens", "tokens"),
        ("experts read",),
        ("blocks", "choices"),
        ("blocks", "tiles"),
    ),
    STEP: (
        (),
        ("blocks",),
        ("blocks", "top-k"),
        ("blocks", "steps of top-k"),
        ("blocks", "context"),
        ("blocks", "attention rounds"),
    ),
    OTHER: ((), ("steps",)),
}
"""The latencies that are fitted, and the terms that each may be made of."""

STAGE_NAMES = {VISION: "Vision", "llm_prefill_ms": "LLM prefill", STEP: "Decode per step", OTHER: "Other"}
"""What they are called."""

# Multiprocessors of cards by a word of their name, from their makers' data sheets; the longest word first.
_MULTIPROCESSORS = {
    "H100 PCIe": 114,
    "H100 NVL": 132,
    "RTX 4090": 128,
    "RTX 3090": 82,
    "GH200": 132,
    "GB200": 148,
    "H200": 132,
    "H100": 132,
    "H800": 132,
    "B200": 148,
    "A100": 108,
    "L40S": 142,
    "A10G": 80,
    "L4": 58,
    "T4": 40,
    "Orin": 16,
    "Thor": 20,
}
_USUAL_MULTIPROCESSORS = 132


@dataclass(frozen=True)
class Surroundings:
    """What of a model and a card the quantities of a setting depend on, named as `quantities` takes them."""

    experts: int
    heads: int
    vision_heads: int
    vision_width: int
    multiprocessors: int
    vision_rows: int = PATCHES_PER_CROP + 1

    @classmethod
    def of(cls, environment: Mapping[str, Any]) -> Surroundings:
        """Those of a run; MolmoE-1B's, and a Hopper's, where it does not say what it measured.

        Raises:
            UserError: It measured another model than MolmoE.
        """
        if other := family_of_run(dict(environment)):
            raise UserError(f"The latency model's terms are of MolmoE's stages, and this run measured a {other}.")
        shape = run_shape(dict(environment)) or PRESETS["molmoe-1b"]
        card = str(environment.get("device_name") or "")
        known = (number for word, number in _MULTIPROCESSORS.items() if word in card)
        number = next(known, _USUAL_MULTIPROCESSORS)
        return cls(shape.num_experts, shape.n_heads, shape.vit_heads, shape.vit_width, number)

    def to_dict(self) -> dict[str, int]:
        """As `quantities` takes them by name."""
        return asdict(self)


def setting_quantities(points: pd.DataFrame, around: Surroundings) -> dict[str, np.ndarray]:
    """The quantities of each point, by name; [points] each, NaN where a knob is not known.

    Args:
        points: As `JointResult.points`.
        around: Of the run.
    """
    rows = [_quantities_of(row, around) for row in points.to_dict("records")]
    names = next((row.keys() for row in rows if row), ())
    found = {name: np.array([row.get(name, np.nan) for row in rows], dtype=float) for name in names}
    return found or {
        factor: np.full(len(points), np.nan) for terms in TERMS.values() for term in terms for factor in term
    }


def _quantities_of(row: Mapping[Any, Any], around: Surroundings) -> dict[str, float]:
    names = ("num_crops", "num_input_tokens", "top_k", "active_blocks", "output_tokens")
    crops, tokens, top_k, blocks, output_tokens = (float(row[name]) for name in names)
    if np.isnan([crops, tokens, top_k, blocks, output_tokens]).any():
        return {}
    routed = row.get("prefill_experts")
    distinct = float(np.sum(routed)) if isinstance(routed, (list, np.ndarray)) and len(routed) else None
    return quantities(crops, tokens, top_k, blocks, output_tokens, distinct, **around.to_dict())


def columns_of(metric: str, found: Mapping[str, np.ndarray]) -> np.ndarray:
    """The terms of a latency for each setting; [settings, terms], NaN where a knob is not known."""
    one = np.ones(len(next(iter(found.values()))))
    return np.stack([np.prod([one, *(found[factor] for factor in term)], axis=0) for term in TERMS[metric]], axis=1)


def term_name(term: Term) -> str:
    """A term as a formula writes it."""
    squared = [f"{name}²" if term.count(name) == 2 else name for name in dict.fromkeys(term)]
    return " × ".join(squared)
