"""What a device can do at most, measured on it: reading and copying memory, and dense matrix products.

Each is the best of several attempts of several kinds, since a ceiling that some kernel passes is none. What was
measured is kept in the user's cache directory for each device, dtype, torch and driver, so that a run need not measure
it again; each run's spool holds the ceilings it was judged by.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import torch

from profcore.measure.environment import device_name, driver_of
from profcore.paths import cache_directory
from profcore.spec.records import Ceilings, now

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_GPU_BYTES, _CPU_BYTES = 2**32, 2**28
# A share of what is free at most: a model is loaded already.
_MEMORY_SHARE = 4
_GPU_SIZES, _CPU_SIZES = (4096, 8192), (1024, 2048)
_ATTEMPTS = 8
_VECTOR = 2048


def known_ceilings(device: torch.device, dtype: torch.dtype) -> Ceilings | None:
    """What was measured on such a device before, or None."""
    try:
        found = json.loads(_file().read_text(encoding="utf-8"))[_key(device, dtype)]
        return Ceilings(**found)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def device_ceilings(device: torch.device, dtype: torch.dtype, tell: Callable[[str], None]) -> Ceilings:
    """What a device can do at most: as it was measured before, else measured now, which `tell` is told."""
    known = known_ceilings(device, dtype)
    if known is None:
        tell("Measuring what the device can do at most, once")
    return known or measure_ceilings(device, dtype)


def measure_ceilings(device: torch.device, dtype: torch.dtype) -> Ceilings:
    """Measure a device, some seconds, and keep the result.

    Source: bandwidth as bytes over the time of a sum, a copy and a matrix-vector product over more memory than any
    cache holds; matrix throughput as 2 n³ over the time of a square product.
    """
    with torch.inference_mode():
        read, copy = _bandwidth(device, dtype)
        matmul = max(_matmul(size, device, dtype) for size in (_GPU_SIZES if device.type == "cuda" else _CPU_SIZES))
    if device.type == "cuda":
        torch.cuda.empty_cache()
    ceilings = Ceilings(
        device_name=device_name(device),
        dtype=_name(dtype),
        read_gb_s=read / 1e9,
        copy_gb_s=copy / 1e9,
        matmul_tflop_s=matmul / 1e12,
        torch=torch.__version__,
        measured_at=now(),
    )
    _keep(_key(device, dtype), ceilings)
    return ceilings


def _bandwidth(device: torch.device, dtype: torch.dtype) -> tuple[float, float]:
    size = _CPU_BYTES
    if device.type == "cuda":
        size = min(_GPU_BYTES, torch.cuda.mem_get_info(device)[0] // _MEMORY_SHARE)
    rows = size // (_VECTOR * dtype.itemsize)
    matrix = torch.ones((rows, _VECTOR), dtype=dtype, device=device)
    vector = torch.ones(_VECTOR, dtype=dtype, device=device)
    target = torch.empty_like(matrix)
    size = matrix.numel() * dtype.itemsize
    readers: list[Callable[[], object]] = [matrix.sum, lambda: torch.mv(matrix, vector)]
    if device.type == "cuda" and _has_triton():
        from profcore.engines.kernels.decode import norm_project

        out = torch.empty(rows, dtype=dtype, device=device)
        readers.append(lambda: norm_project(vector, vector, matrix, out, 1e-5))
    read = max(size / _best(reader, device) for reader in readers)
    return read, 2 * size / _best(lambda: target.copy_(matrix), device)


def _has_triton() -> bool:
    try:
        import triton  # noqa: F401
    except ImportError:
        return False
    return True


def _matmul(size: int, device: torch.device, dtype: torch.dtype) -> float:
    # Random, not constant: a card draws less power on constant data and clocks higher than it ever would.
    left = torch.randn((size, size), device=device).to(dtype)
    right = torch.randn((size, size), device=device).to(dtype)
    out = torch.empty_like(left)
    return 2 * size**3 / _best(lambda: torch.mm(left, right, out=out), device)


def _best(work: Callable[[], object], device: torch.device) -> float:
    """The least time of a few attempts, in seconds."""
    work()
    times = []
    for _ in range(_ATTEMPTS):
        if device.type == "cuda":
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            work()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) / 1e3)
        else:
            begin = time.perf_counter()
            work()
            times.append(time.perf_counter() - begin)
    return min(times)


def _file() -> Path:
    return cache_directory() / "ceilings.json"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _key(device: torch.device, dtype: torch.dtype) -> str:
    driver = driver_of(device)
    # The version of torch names its CUDA.
    versions = [f"torch {torch.__version__}", *([f"driver {driver}"] if driver else [])]
    return " | ".join([device_name(device), _name(dtype), *versions])


def _keep(key: str, ceilings: Ceilings) -> None:
    path = _file()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    known[key] = ceilings.to_dict()
    # Replaced in one step, so that another process never reads half a file.
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(known, indent=2), encoding="utf-8")
    draft.replace(path)
