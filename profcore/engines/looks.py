"""Whether work looks at a tensor's value on the host, or copies one to or from it, which no CUDA graph can hold."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOKS = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique_dim", "_unique2", "item"}
_INDEXED = {"index", "index_put", "index_put_"}


def looks_at_values(work: Callable[[], Any]) -> str:
    """Where the work looks first, such as 'modeling_qwen2_vl.py, line 120, tolist'; empty where it does not.

    The work is done, to its end or to where it looks.
    """
    try:
        with _Asking(), _Looking(), torch.no_grad():
            work()
    except _LookedError as found:
        return str(found)
    return ""


class _LookedError(Exception):
    """A value was looked at; the text says where."""


class _Asking(TorchFunctionMode):
    """Finds what reads a tensor's memory itself, where that lies on the host."""

    def __torch_function__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        if function in (torch.Tensor.tolist, torch.Tensor.numpy):
            raise _LookedError(_where(function.__name__))
        return function(*arguments, **(keywords or {}))


class _Looking(TorchDispatchMode):
    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        name = function.overloadpacket.__name__
        if name in _LOOKS or (name in _INDEXED and _by_mask(arguments)) or _crosses(name, arguments, keywords):
            raise _LookedError(_where(name))
        return function(*arguments, **(keywords or {}))


def _by_mask(arguments: Any) -> bool:
    """Whether an index holds a mask, whose number of hits nobody knows without looking."""
    return any(each is not None and each.dtype in (torch.bool, torch.uint8) for each in arguments[1])


def _crosses(name: str, arguments: Any, keywords: Any) -> bool:
    """Whether a tensor is copied between devices, for which the host waits."""
    there = (keywords or {}).get("device")
    return name == "_to_copy" and there is not None and torch.device(there).type != arguments[0].device.type


def _where(operation: str) -> str:
    """The innermost line of a model's code, and what it does there."""
    frames = [frame for frame in traceback.extract_stack() if "modeling_" in frame.filename]
    said = operation.strip("_")
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}, {said}" if frames else said
