"""The files of a checkpoint directory, and whether they are whole. Needs no torch, so that a page can ask."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from profcore.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

_NAMED_IN_ERRORS = 6


def find_shards(directory: Path) -> list[Path]:
    """The safetensors files of a checkpoint directory.

    Raises:
        ModelError: There are none, one is not whole, or the index names one that is not there.
    """
    shards = _listed(directory)
    for shard in shards:
        _check_whole(shard)
    return shards


def _listed(directory: Path) -> list[Path]:
    index = directory / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (ValueError, KeyError, AttributeError):
            raise ModelError(f"{index} is not a safetensors index: it needs a weight_map.") from None
        missing = [name for name in names if not (directory / name).is_file()]
        if missing:
            raise ModelError(f"{directory} lacks the shards its index names: {some(missing)}.")
        return [directory / name for name in names]
    if (directory / "model.safetensors").is_file():
        return [directory / "model.safetensors"]
    shards = sorted(directory.glob("*.safetensors"))
    if not shards:
        pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in directory.glob(pattern))
        if pickles:
            raise ModelError(
                f"{directory} has only pickled weights ({some(pickles)}), which can run code when opened: "
                "convert them to safetensors."
            )
        raise ModelError(f"{directory} has no .safetensors file: a checkpoint directory needs at least one.")
    return shards


def _check_whole(shard: Path) -> None:
    """Whether a shard is as long as its header says.

    Source: the safetensors format, 8 bytes of header length, a JSON header with each tensor's byte range, the data.
    """
    size = shard.stat().st_size
    try:
        with shard.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > size:
                raise ValueError
            header = json.loads(file.read(length))
        end = max(
            (tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"),
            default=0,
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise ModelError(f"{shard} is no complete safetensors file: its header cannot be read.") from None
    if size != 8 + length + end:
        raise ModelError(f"{shard} is truncated: {size:,} bytes of {8 + length + end:,}.")


def some(names: list[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _NAMED_IN_ERRORS
    return ", ".join(names[:_NAMED_IN_ERRORS]) + (f" and {more} more" if more > 0 else "")
