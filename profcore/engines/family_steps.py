"""What the graph engine for vision-language models keeps of a recorded inference: the arguments of its decode steps."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_leaves, tree_map

from profcore.engines.base import PreparationError
from profcore.engines.greedy_loop import GreedyLoop
from profcore.models.molmoe import CACHE_ARGUMENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from profcore.models.families.adapter import VisionLanguageModel
    from profcore.models.families.inputs import FamilyInputs
    from profcore.spec.settings import Setting

_TOLERANCES = {torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""How far logits may be apart by rounding, as a share of the largest."""
SPARE = 4
"""Steps beyond an answer's: a step is done some times over before it is captured, each a position further."""

_CHECKS = "TRANSFORMERS_DISABLE_TORCH_CHECK"
_UNREAD = ("last_hidden_state", "hidden_states", "attentions")
"""What `get_image_features` gives and no language model reads."""


@contextmanager
def unchecked() -> Iterator[None]:
    """Inside, transformers leaves out what it checks of an input's values; so it is told for production.

    Source: transformers, `torch_compilable_check`.
    """
    before = os.environ.get(_CHECKS)
    os.environ[_CHECKS] = "1"
    try:
        yield
    finally:
        os.environ.pop(_CHECKS)
        if before is not None:
            os.environ[_CHECKS] = before


class Steps:
    """The arguments of decode steps: those that are the same at each, and tensors that are not, one step a row."""

    def __init__(self, same: dict[str, Any], stacked: dict[str, Any]) -> None:
        self.same, self.stacked = same, stacked


def stacked_steps(calls: list[dict[str, Any]], of_pictures: tuple[str, ...]) -> Steps:
    """The arguments of decode steps, which see no picture: what says where one is stays as it is."""
    same: dict[str, Any] = {}
    stacked: dict[str, Any] = {}
    for name in calls[0] if calls else ():
        values = [call[name] for call in calls]
        leaves = tree_leaves(values[0])
        if (
            name not in (CACHE_ARGUMENT, *of_pictures)
            and leaves
            and all(isinstance(leaf, torch.Tensor) for leaf in leaves)
        ):
            stacked[name] = tree_map(lambda *rows: torch.stack([*rows, *rows[-1:] * SPARE]), *values)
        else:
            same[name] = values[0]
    stacked.pop("input_ids", None)
    return Steps(same, stacked)


def read_tensors(features: Any) -> list[Tensor]:
    """The tensors that a language model reads of what `get_image_features` gives."""
    kept = {name: value for name, value in features.items() if name not in _UNREAD}
    return [leaf for leaf in tree_leaves(kept) if isinstance(leaf, torch.Tensor)]


def check_static(model: VisionLanguageModel, inputs: FamilyInputs, setting: Setting, logits: list[Tensor]) -> None:
    """Whether a static cache leaves the answer as it is, up to rounding: of its first token, and of the next.

    Args:
        model: The model.
        inputs: Picture and prompt.
        setting: The knobs.
        logits: Of each token, over a static cache.

    Raises:
        PreparationError: It does not.
    """
    plain = GreedyLoop(model, min(2, len(logits)), keep_logits=True)
    with model.turned(setting):
        plain.run(inputs)
    for ours, theirs in zip(logits, plain.logits, strict=False):
        largest = float((ours.float() - theirs.float()).abs().max() / theirs.float().abs().max())
        if not largest <= _TOLERANCES[model.dtype]:
            raise PreparationError(f"over a static cache its logits differ by {largest:.1%} of the largest")
        if ours.argmax() != theirs.argmax():
            # Two that are as likely within rounding: what follows is another answer.
            return
