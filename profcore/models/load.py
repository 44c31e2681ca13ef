"""From a model's name to a model: a preset, a checkpoint directory or a hub name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from profcore.errors import UserError
from profcore.models.checkpoint import load_checkpoint
from profcore.models.config import PRESETS, checkpoint_path, find_config, read_shape
from profcore.models.families.shape import FamilyShape
from profcore.models.hub import fetch_checkpoint
from profcore.models.molmoe import random_model
from profcore.models.prompt import ByteTokenizer, Tokenizer, load_tokenizer

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to run, and where its weights came from ('real' or 'random').

    Attributes:
        model: A `MolmoE`, or a `families.adapter.VisionLanguageModel`.
    """

    model: Any
    tokenizer: Tokenizer
    weights: str


def resolve_device(name: str) -> torch.device:
    """A torch device from 'cpu' or 'cuda:N'.

    Raises:
        UserError: There is no such device.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    there = ", ".join(["cpu", *(f"cuda:{index}" for index in range(count))])
    match = re.fullmatch(r"cpu|cuda(?::(\d+))?", name)
    if not match or (name != "cpu" and int(match[1] or 0) >= count):
        raise UserError(f"There is no device {name!r} here: choose from {there}.")
    return torch.device("cpu") if name == "cpu" else torch.device("cuda", int(match[1] or 0))


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """A torch dtype from its name; 'auto' is bfloat16 on a GPU and float32 on a CPU.

    Raises:
        UserError: The name is another.
    """
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if name not in _DTYPES:
        raise UserError(f"Unknown dtype {name!r}: choose from auto, {', '.join(_DTYPES)}.")
    return _DTYPES[name]


def load_model(name: str, device: torch.device, dtype: torch.dtype, experts: str) -> LoadedModel:
    """A preset with random weights, or a checkpoint with its own.

    Args:
        name: 'tiny', 'molmoe-1b', a name of the catalogue, a checkpoint directory, a configuration file, or a hub name
            such as 'allenai/MolmoE-1B-0924'.
        device: Where the weights go.
        dtype: The weights' type.
        experts: An experts implementation (see `MolmoE.use_experts`).

    Raises:
        ModelError: There is no such model, or its files cannot be used.
    """
    if name in PRESETS:
        config = PRESETS[name]
        return LoadedModel(random_model(config, device, dtype, experts), ByteTokenizer(config), "random")
    shape = find_config(name)
    directory = Path(checkpoint_path(name)).expanduser() if shape else fetch_checkpoint(name)
    shape = shape or read_shape(directory, name)
    if isinstance(shape, FamilyShape):
        return _load_family(directory, shape, device, dtype, experts)
    model = load_checkpoint(directory, device, dtype, experts)
    return LoadedModel(model, load_tokenizer(directory, model.config), "real")


def _load_family(
    directory: Path, shape: FamilyShape, device: torch.device, dtype: torch.dtype, experts: str
) -> LoadedModel:
    """A vision-language model of transformers; weights are random where a configuration alone is there."""
    # Here, since these take a second to import that no MolmoE needs.
    from profcore.models.families.loading import load_family, random_family
    from profcore.models.families.trial import try_once

    if directory.is_dir():
        model = load_family(directory, shape, device, dtype, experts)
        loaded = LoadedModel(model, load_tokenizer(directory, shape), "real")
    else:
        loaded = LoadedModel(random_family(shape, device, dtype, experts), ByteTokenizer(shape), "random")
    try_once(loaded)
    return loaded
