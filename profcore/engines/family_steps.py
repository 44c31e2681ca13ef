"""What the graph engine for vision-language models keeps of a recorded inference: the arguments of its decode steps."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
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
_ROUNDINGS = 3
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


def over_new_output(features: Any, recorded: Any, output: Any) -> Any | None:
    """What `get_image_features` would give over a projector's new output; None where it is more than views of that.

    Args:
        features: What it gave.
        recorded: What the projector gave then.
        output: What it gives now, of the same shapes.
    """
    before, after = (
        [each for each in tree_leaves(one) if isinstance(each, torch.Tensor)] for one in (recorded, output)
    )
    places = {old.untyped_storage().data_ptr(): (old, new) for old, new in zip(before, after, strict=True)}
    if any(each.untyped_storage().data_ptr() not in places for each in read_tensors(features)):
        return None

    def moved(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        old, new = places[value.untyped_storage().data_ptr()]
        offset = value.storage_offset() - old.storage_offset() + new.storage_offset()
        return new.as_strided(value.size(), value.stride(), offset)

    return type(features)(
        **{name: value if name in _UNREAD else tree_map(moved, value) for name, value in features.items()}
    )


def check_static(model: VisionLanguageModel, inputs: FamilyInputs, setting: Setting, logits: list[Tensor]) -> None:
    """Whether a static cache leaves the answer as it is, up to rounding: of its first token, and of the next.

    Where logits are further apart than rounding usually takes them, the model is asked what rounding does to it: near a
    tie between experts it may do much.

    Args:
        model: The model.
        inputs: Picture and prompt.
        setting: The knobs.
        logits: Of each token, over a static cache.

    Raises:
        PreparationError: It does not.
    """
    number = min(2, len(logits))
    plain = _logits(model, inputs, setting, number)
    apart = _apart(logits, plain)
    usual = _TOLERANCES[model.dtype]
    if max(apart) <= usual:
        return
    rounded = [_apart(_logits(model, _rounded(inputs, seed), setting, number), plain) for seed in range(_ROUNDINGS)]
    for place, differs in enumerate(apart):
        if not differs <= max(usual, 2 * max((each[place] for each in rounded if place < len(each)), default=0.0)):
            raise PreparationError(f"over a static cache its logits differ by {differs:.1%} of the largest")


def _logits(model: VisionLanguageModel, inputs: FamilyInputs, setting: Setting, number: int) -> list[Tensor]:
    """The logits of the first tokens, over the cache that `generate` makes."""
    plain = GreedyLoop(model, number, keep_logits=True)
    with model.turned(setting):
        plain.run(inputs)
    return plain.logits


def _apart(ours: list[Tensor], theirs: list[Tensor]) -> list[float]:
    """How far logits are apart at each token, as a share of the largest, up to where the answers part.

    Two tokens that are as likely within rounding make what follows another answer.
    """
    found = []
    for one, other in zip(ours, theirs, strict=False):
        found.append(float((one.float() - other.float()).abs().max() / other.float().abs().max()))
        if one.argmax() != other.argmax():
            break
    return found


def _rounded(inputs: FamilyInputs, seed: int) -> FamilyInputs:
    """The same inputs, each value of the picture at most a rounding away."""
    generator = torch.Generator().manual_seed(seed)
    tensors = dict(inputs.tensors)
    for name, values in tensors.items():
        if values.is_floating_point():
            steps = torch.randint(-1, 2, values.shape, generator=generator).to(values.device)
            tensors[name] = values * (1 + steps * torch.finfo(values.dtype).eps).to(values.dtype)
    return replace(inputs, tensors=tensors)
