"""The fastest tiling on cards that none was chosen for: a few are tried once, and what was found is kept on disk."""

from __future__ import annotations

import json
import logging
import statistics
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import torch
import triton
from triton.errors import TritonError

from profcore.paths import cache_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

Choice = TypeVar("Choice")

_WARM_UPS, _REPEATS = 2, 5
_log = logging.getLogger(__name__)


def kept_at() -> Path:
    """Where what was found is kept."""
    return cache_directory() / "tilings.json"


_found: dict[str, int] = {}


def tuned(
    key: str,
    candidates: Sequence[Choice],
    work: Callable[[Choice], object],
    time_ms: Callable[[Callable[[], object]], float],
    may_try: bool = True,
) -> Choice:
    """The candidate whose work takes least, tried once for a key on this card and with these versions.

    One that the card cannot run, for want of shared memory or registers, is passed over. Where nothing can be kept it
    is tried again in the next process.

    Args:
        key: What is tuned, and for which shapes.
        candidates: In a fixed order; what is kept is a place in it. The first is taken where none can be run here.
        work: Does it with a candidate.
        time_ms: How long a piece of work takes, as `device_ms`.
        may_try: Whether they may be tried now, which a capture forbids; else what is not known is the first.
    """
    name = f"{_surroundings()} | {key} | of {len(candidates)}"
    place = _found.get(name, _read().get(name))
    if isinstance(place, int) and 0 <= place < len(candidates):
        _found[name] = place
        return candidates[place]
    if not may_try:
        return candidates[0]
    times = {}
    for number, candidate in enumerate(candidates):
        try:
            times[number] = time_ms(partial(work, candidate))
        except (RuntimeError, ValueError, TritonError) as error:
            _log.info("%s: candidate %d cannot be run here (%s)", name, number, type(error).__name__)
    if not times:
        return candidates[0]
    _found[name] = min(times, key=lambda number: times[number])
    _keep(name, _found[name])
    return candidates[_found[name]]


def device_ms(work: Callable[[], object]) -> float:
    """How long work takes on the current CUDA device, in milliseconds; the median of a few times, warmed up before."""
    for _ in range(_WARM_UPS):
        work()
    times = []
    for _ in range(_REPEATS):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        work()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


def _surroundings() -> str:
    """What a time depends on besides the work: the card and the versions of what compiles the kernels."""
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    return f"{card}, torch {torch.__version__}, Triton {triton.__version__}"


def _read() -> dict[str, object]:
    with suppress(OSError, ValueError):
        found = json.loads(kept_at().read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def _keep(name: str, place: int) -> None:
    with suppress(OSError):
        path = kept_at()
        path.parent.mkdir(parents=True, exist_ok=True)
        # Read anew: another process may have kept something meanwhile. Whole or not at all.
        draft = path.with_suffix(".part")
        draft.write_text(json.dumps({**_read(), name: place}, indent=1), encoding="utf-8")
        draft.replace(path)
