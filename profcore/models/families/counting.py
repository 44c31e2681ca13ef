"""Counting a model's parameters by part, with modules that have no memory behind them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import AutoModelForImageTextToText

from profcore.models.families.family import PROJECTORS
from profcore.models.families.loading import hf_config, sentences
from profcore.models.families.parameters import FamilyParameters

if TYPE_CHECKING:
    from profcore.models.families.shape import FamilyShape

MERGERS = ("merger", "deepstack_merger_list")
"""What those that stand inside of it are called."""


def empty_model(shape: FamilyShape) -> Any:
    """The model of a shape on the meta device: modules and shapes, no numbers.

    Raises:
        ModelError: This transformers has no such model.
    """
    config = hf_config(shape)
    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(config)


def count_shape(shape: FamilyShape) -> dict[str, Any]:
    """The parameters of a shape by part, as `FamilyParameters.from_dict` takes them; no memory is taken for any.

    Raises:
        ModelError: This transformers cannot build it.
    """
    with sentences(shape):
        return asdict(count(empty_model(shape)))


def count(model: Any) -> FamilyParameters:
    """A model's parameters by part.

    Args:
        model: A `…ForConditionalGeneration` of transformers, on whatever device.
    """
    encoder = model.get_encoder(modality="image")
    inside = [module for name, module in encoder.named_children() if name in MERGERS]
    beside = [module for name, module in model.model.named_children() if name in PROJECTORS]
    experts = [each for each in model.get_decoder().modules() if _is_experts(each)]
    routed = sum(_size(each) for each in experts)
    merged = sum(map(_size, inside))
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    return FamilyParameters(
        total=_size(model),
        vision_encoder=_size(encoder) - merged,
        projector=merged + sum(map(_size, beside)),
        experts=routed,
        # Of a block with experts for words and others for pictures a token of either kind uses its own; the larger.
        per_top_k=sum(_largest_expert(block) for block in _blocks(model)),
        embeddings=_size(embeddings),
        tied=head is not None and head.weight is embeddings.weight,
    )


def _blocks(model: Any) -> list[nn.Module]:
    return list(model.get_decoder().layers)


def _largest_expert(block: nn.Module) -> int:
    return max((_size(each) // _number(each) for each in block.modules() if _is_experts(each)), default=0)


def _is_experts(module: nn.Module) -> bool:
    """Whether a module holds routed experts: their weights stacked, or one after another."""
    if any(parameter.dim() == 3 for parameter in module.parameters(recurse=False)):
        return True
    return isinstance(module, nn.ModuleList) and "Expert" in type(module).__name__


def _number(module: nn.Module) -> int:
    stacked = [parameter for parameter in module.parameters(recurse=False) if parameter.dim() == 3]
    return stacked[0].shape[0] if stacked else len(list(module.children()))


def _size(module: nn.Module) -> int:
    return sum(each.numel() for each in {id(each): each for each in module.parameters()}.values())
