"""How large the models are that have a name: parameters, those that a token uses, and the memory that they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from profcore.models.config import PRESETS, SMALL_TRAINED, MolmoConfig
from profcore.models.families.catalogue import ENTRIES
from profcore.models.families.parameters import ITEM_BYTES, FamilyParameters
from profcore.models.families.shape import FamilyShape
from profcore.models.families.versions import why_not_here
from profcore.models.shape import Shape
from profcore.models.shapes.shape import SHAPES_CONFIG
from profcore.roofline.parameters import count_parameters

_GIGA = 1e9
MOLMOE = "MolmoE"


@dataclass(frozen=True)
class ModelSize:
    """A model's size.

    Attributes:
        name: As `--model` takes it.
        family: Whose it is.
        parameters: All of them.
        active: Those that one token uses, at the model's own top-k.
    """

    name: str
    family: str
    parameters: int
    active: int

    def memory_bytes(self, dtype: str) -> int:
        """Bytes of the parameters alone.

        Args:
            dtype: 'float32', 'bfloat16' or 'float16'.
        """
        return self.parameters * ITEM_BYTES[dtype]


def size_of(name: str, shape: Shape) -> ModelSize | None:
    """The size of a model; None where it is known only once it is loaded.

    Args:
        name: As `--model` takes it.
        shape: Its shape.
    """
    if name in ENTRIES:
        entry = ENTRIES[name]
        return ModelSize(name, entry.shape.family, entry.parameters.total, entry.parameters.active(entry.shape.top_k))
    if isinstance(shape, MolmoConfig):
        parts = count_parameters(shape)
        return ModelSize(name, MOLMOE, sum(each.total for each in parts), sum(each.active for each in parts))
    return None


def size_of_parts(name: str, shape: FamilyShape, parts: Mapping[str, Any]) -> ModelSize:
    """The size of a model of a family whose parameters were counted.

    Args:
        name: As `--model` takes it.
        shape: Its shape.
        parts: As `FamilyParameters.from_dict` takes them.
    """
    counted = FamilyParameters.from_dict(parts)
    return ModelSize(name, shape.family, counted.total, counted.active(shape.top_k))


def named_sizes() -> list[ModelSize]:
    """Every model that has a name, by family: MolmoE's first."""
    known = {**PRESETS, SMALL_TRAINED: SHAPES_CONFIG}
    shapes: dict[str, Shape] = {**known, **{name: entry.shape for name, entry in ENTRIES.items()}}
    sizes = [size for name, shape in shapes.items() if (size := size_of(name, shape))]
    return sorted(sizes, key=lambda size: (size.family != MOLMOE, size.family, -size.parameters))


def stored_dtype(dtype: str, device: str) -> str:
    """What a choice of dtype comes to on a device: 'auto' is bfloat16 on a GPU and float32 on a CPU."""
    return ("float32" if device == "cpu" else "bfloat16") if dtype == "auto" else dtype


def size_words(size: ModelSize, dtype: str, there: int | None) -> str:
    """A model's size in a sentence, beside the memory of a device where that is known."""
    active = "" if size.active == size.parameters else f", of which a token uses {_billions(size.active)}"
    here = f", of {gigabytes(there)} here" if there else ""
    needed = gigabytes(size.memory_bytes(dtype))
    return f"{size.family}: {_billions(size.parameters)} parameters{active}; {needed} in {dtype}{here}"


def too_large(size: ModelSize, dtype: str, there: int | None) -> str:
    """Why a model cannot be loaded on a device of so many bytes; empty where its parameters fit, or nobody knows."""
    needed = size.memory_bytes(dtype)
    if there is None or needed <= there:
        return ""
    return f"{size.name} takes {gigabytes(needed)} in {dtype}, and there are {gigabytes(there)}: choose a smaller one."


def display_sizes(sizes: Sequence[ModelSize], dtype: str, there: int | None) -> pd.DataFrame:
    """A table for people: a row for each model, with whether it fits."""
    rows = [
        {
            "family": size.family,
            "model": size.name,
            "parameters": _billions(size.parameters),
            "a token uses": _billions(size.active),
            "memory": gigabytes(size.memory_bytes(dtype)),
            "fits here": "not known" if there is None else "no" if too_large(size, dtype, there) else "yes",
            "runs here": _why_not(size.name) or "yes",
        }
        for size in sizes
    ]
    return pd.DataFrame(rows)


def _why_not(name: str) -> str:
    """Why the installed transformers cannot run a named model; empty where it can."""
    return why_not_here(ENTRIES[name].shape.kind) if name in ENTRIES else ""


def _billions(number: int) -> str:
    return f"{number / _GIGA:.1f} billion" if number >= 1e8 else f"{number / 1e6:.1f} million"


def gigabytes(number: int) -> str:
    """Bytes as people say them; of what is far less than a gigabyte in megabytes."""
    if number < _GIGA / 10:
        return f"{number / 1e6:,.0f} MB" if number >= 1e7 else f"{number / 1e6:,.2g} MB"
    return f"{number / _GIGA:,.0f} GB" if number >= 10 * _GIGA else f"{number / _GIGA:,.2g} GB"
