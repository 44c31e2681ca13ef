"""What is a family's own: data that a file of about ten lines holds. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from profcore.spec.settings import MAX_CROPS

PROJECTORS = ("multi_modal_projector", "connector", "aligner", "embed_vision", "mm_projector", "resampler_model")
"""What projectors that stand beside the vision encoder are called."""
UNIT_TOKENS = 12
"""Merged patches along the side of a unit of a patch-grid model, so that a unit has the 144 tokens of MolmoE's crop."""
NORMALS = {
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "bytes": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Mean and deviation that pixels are normalised by, as image processors of transformers have them."""


class Since(NamedTuple):
    """The first version of transformers that can run a family's models.

    Attributes:
        version: Its number.
        reason: What is the matter before it, to be read behind 'since before that'.
    """

    version: str
    reason: str


@dataclass(frozen=True)
class Family:
    """Models of one model type that take pictures alike.

    Attributes:
        name: As pages call it.
        model_type: transformers' model type.
        rule: How a picture becomes tokens, a name of `families.vision_tokens.RULES`.
        inputs: The function of `families.pixels` that makes the picture's tensors.
        normal: How pixels are normalised, a name of `NORMALS`.
        defaults: Fields of a configuration that a file may leave out, as transformers' classes have them.
        most_units: The most units of picture in a row.
        token_types: Names of inputs that say of each token whether it is the picture's.
        view_marks: Ordinary tokens of a prompt before each tile, such as its place.
        row_marks: Ordinary tokens of a prompt after each row of image tokens, such as a line's end.
        defects: Versions of transformers whose own code cannot run such a model, with what is wrong.
        top_k_reason: Why a lower top-k saves no work though there are experts; empty where it does.
        since: The first version of transformers that can run such a model, where it is newer than the oldest that is
            required.
        projects_to: The part of the configuration, and its field, that say how wide the projector's output is; empty
            where that follows from the language model.
    """

    name: str
    model_type: str
    rule: str
    inputs: str
    normal: str = "half"
    defaults: Mapping[str, Any] = field(default_factory=dict)
    most_units: int = MAX_CROPS
    token_types: tuple[str, ...] = ()
    view_marks: int = 0
    row_marks: int = 0
    defects: Mapping[str, str] = field(default_factory=dict)
    top_k_reason: str = ""
    projects_to: tuple[str, str] = ("", "")
    since: Since | None = None
