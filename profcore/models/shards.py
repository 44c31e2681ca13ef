"""The files of a checkpoint directory, and whether they are whole. Needs no torch, so that a page can ask."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import Any

from profcore.errors import ModelError
from profcore.paths import inside, open_regular, read_regular
from profcore.spec.limits import LARGEST_HEADER, MOST_VALUES
from profcore.spec.text import parse_json, some, whole_text

INDEX = "model.safetensors.index.json"
"""What says of each tensor which shard it is in, where there is such a file."""

_NAMED_IN_ERRORS = 6
# Bytes of a value of each kind of weight that is read, by its name in a header.
_FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}


def find_shards(directory: Path) -> list[Path]:
    """The safetensors files of a checkpoint directory.

    Raises:
        ModelError: As `find_tensors`.
    """
    return list(find_tensors(directory))


def shard_names(directory: Path) -> list[str]:
    """The files that would be opened as shards, as far as that can be told; none of them is opened or looked at."""
    names = {path.name for path in directory.glob("*.safetensors")}
    # What is wrong with an index is for whoever reads the shards to say.
    with suppress(ModelError):
        names.update(_weight_map(directory / INDEX).values())
    return sorted(name for name in names if inside(directory, name) is not None)


def find_tensors(directory: Path) -> dict[Path, dict[str, tuple[int, ...]]]:
    """The tensors to take from each safetensors file of a checkpoint directory, with their shapes.

    Where there is an index, it decides which shard each tensor comes from: another shard may hold a stale copy.

    Raises:
        ModelError: There is no shard, one is not whole, holds what are no floating-point weights, or is not as the
            index says; or two hold a tensor of one name and no index says which counts.
    """
    index = directory / INDEX
    if index.is_file():
        return _indexed(directory, index)
    held = {shard: _header(shard) for shard in _listed(directory)}
    seen: dict[str, Path] = {}
    for shard, tensors in held.items():
        for name in tensors:
            if name in seen:
                raise ModelError(
                    f"{seen[name].name} and {shard.name} of {directory} both hold {name}, "
                    "and no model.safetensors.index.json says which counts."
                )
            seen[name] = shard
    return held


def _indexed(directory: Path, index: Path) -> dict[Path, dict[str, tuple[int, ...]]]:
    weight_map = _weight_map(index)
    names = sorted(set(weight_map.values()))
    outside = [name for name in names if inside(directory, name) is None]
    if outside:
        raise ModelError(f"{index} names shards outside of {directory}: {_some(outside)}.")
    others = [name for name in names if not name.endswith(".safetensors")]
    if others:
        raise ModelError(f"{index} names files that are no safetensors: {_some(others)}.")
    missing = [name for name in names if not _is_file(directory / name)]
    if missing:
        raise ModelError(f"{directory} lacks the shards its index names: {_some(missing)}.")
    held = {name: _header(directory / name) for name in names}
    lacking = [f"{name} (in {shard})" for name, shard in sorted(weight_map.items()) if name not in held[shard]]
    if lacking:
        raise ModelError(f"{directory} lacks tensors where its index says they are: {_some(lacking)}.")
    # One that the index does not know is kept, so that it is named as unexpected.
    return {
        directory / shard: {name: shape for name, shape in tensors.items() if weight_map.get(name, shard) == shard}
        for shard, tensors in held.items()
    }


def _weight_map(index: Path) -> dict[str, str]:
    """An index's shard of each tensor."""
    try:
        document = parse_json(read_regular(index, LARGEST_HEADER), MOST_VALUES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{index} is not a safetensors index: it cannot be read as JSON ({reason}).") from None
    weight_map = document.get("weight_map") if isinstance(document, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelError(f"{index} is not a safetensors index: it needs a weight_map.")
    wrong = [name for name, shard in weight_map.items() if not isinstance(shard, str) or not shard]
    if wrong:
        raise ModelError(f"{index} names no shard for {_some(wrong)}: each tensor needs the name of a file.")
    return weight_map


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    # A name that no file can have.
    except OSError:
        return False


def _listed(directory: Path) -> list[Path]:
    """The shards of a directory without an index."""
    if (directory / "model.safetensors").is_file():
        return [directory / "model.safetensors"]
    shards = sorted(path for path in directory.glob("*.safetensors") if path.is_file())
    if not shards:
        pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in directory.glob(pattern))
        if pickles:
            raise ModelError(
                f"{directory} has only pickled weights ({_some(pickles)}), which can run code when opened: "
                "convert them to safetensors."
            )
        raise ModelError(f"{directory} has no .safetensors file: a checkpoint directory needs at least one.")
    return shards


def _header(shard: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of a shard's tensors, once it is known to be whole and to hold floating-point weights.

    Source: the safetensors format, 8 bytes of header length, a JSON header with each tensor's byte range, the data.
    """
    try:
        size = shard.stat().st_size
        with open_regular(shard) as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(size, LARGEST_HEADER):
                raise ValueError
            header = parse_json(file.read(length), MOST_VALUES)
        tensors = {name: tensor for name, tensor in header.items() if name != "__metadata__"}
        shapes = {name: tuple(_count(each) for each in tensor["shape"]) for name, tensor in tensors.items()}
        ends = {name: tuple(_count(each) for each in tensor["data_offsets"]) for name, tensor in tensors.items()}
        kinds = {name: str(tensor["dtype"]) for name, tensor in tensors.items()}
        end = max((stop for _, stop in ends.values()), default=0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise ModelError(f"{shard} is no complete safetensors file: its header cannot be read.") from None
    if size != 8 + length + end:
        raise ModelError(f"{shard} is truncated: {size:,} bytes of {8 + length + end:,}.")
    others = [f"{name} is {whole_text(kind)[:20]}" for name, kind in kinds.items() if kind not in _FLOATS]
    if others:
        raise ModelError(
            f"{shard} holds weights that are no plain floating-point numbers ({_some(others)}): "
            f"give {', '.join(_FLOATS)}."
        )
    wrong = [
        name for name, (start, stop) in ends.items() if stop - start != math.prod(shapes[name]) * _FLOATS[kinds[name]]
    ]
    if wrong:
        raise ModelError(f"{shard} gives tensors other bytes than their shapes take: {_some(wrong)}.")
    return shapes


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError
    return value


def _some(names: list[str]) -> str:
    # A name may hold anything, and a sentence is one line.
    return some([name if name.isprintable() else repr(name) for name in names], _NAMED_IN_ERRORS)
