"""The inspection tools' names, for pages and commands that have no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profcore.errors import UserError
from profcore.models.families.shape import FamilyShape

if TYPE_CHECKING:
    from profcore.models.shape import Shape


@dataclass(frozen=True)
class Inspector:
    """One tool.

    Attributes:
        title: As pages call it.
        text: What it answers.
        script: The published script that it takes the place of.
        cheap: Whether it measures nothing and takes one inference at the most, so that a page asks it unasked.
    """

    title: str
    text: str
    script: str
    cheap: bool = True


FAMILY_INSPECTORS = ("topk", "check")
"""The tools that know other models than MolmoE; importance does too."""

INSPECTORS = {
    "tokens": Inspector("Tokens", "How does a picture with its prompt become tokens?", "analyze_tokens.py"),
    "moe-layer": Inspector("MoE layer", "What is in a block's mixture of experts?", "inspect_moe_layer.py"),
    "flow": Inspector("Flow", "What does each module take and give in one inference?", "inspect_molmo_flow.py"),
    "pooling": Inspector("Pooling", "How do a crop's 24×24 patches become 12×12 tokens?", "inspect_pooling_params.py"),
    "structure": Inspector(
        "Structure", "What is the model made of, and where are its parameters?", "quick_inspect_structure.py"
    ),
    "topk": Inspector(
        "Top-k", "Does each token use as many experts as top-k says, and which?", "verify_moe_topk.py", cheap=False
    ),
    "check": Inspector(
        "Check",
        "Does the model load, generate, and give the same under each engine?",
        "test_hf_model.py",
        cheap=False,
    ),
}


def check_known(name: str, shape: Shape) -> None:
    """Whether a tool knows a model of this shape.

    Raises:
        UserError: It knows MolmoE alone; or top-k is asked after, which the model has not.
    """
    if not isinstance(shape, FamilyShape):
        return
    if name not in (*FAMILY_INSPECTORS, "importance"):
        known = " or ".join(FAMILY_INSPECTORS)
        raise UserError(f"{name} looks into the modules of MolmoE alone: use {known} for {shape.name}.")
    if name == "topk" and shape.top_k_reason:
        raise UserError(f"Top-k cannot be turned: {shape.top_k_reason}")
