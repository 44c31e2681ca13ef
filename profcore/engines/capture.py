"""CUDA graphs: what is captured once and replayed at every inference."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import torch

from profcore.engines.base import PreparationError
from profcore.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

_WARM_RUNS = 2
_MOST_GRAPHS = 192


class Captures:
    """Pieces of work by their keys, each warmed and captured when first asked for.

    All graphs take their intermediate tensors from one memory pool, so that together they need about as much as the
    largest of them. That is safe since they are replayed one after another and hand on only through tensors made
    outside of any capture. The graphs used longest ago are let go above a bound. Where the device has no graphs,
    work is run as it is.
    """

    def __init__(self, device: torch.device, graphs: bool, most: int = _MOST_GRAPHS) -> None:
        self._device, self._graphs, self._most = device, graphs, most
        self._kept: OrderedDict[Hashable, Callable[[], None]] = OrderedDict()
        self._pool: Any = torch.cuda.graph_pool_handle() if graphs else None
        self._peak: dict[Hashable, int] = {}

    def __contains__(self, key: Hashable) -> bool:
        return key in self._kept

    def __len__(self) -> int:
        return len(self._kept)

    def discard(self, key: Hashable) -> None:
        """Let a piece of work go, where it is there."""
        self._kept.pop(key, None)
        self._peak.pop(key, None)

    def run(self, key: Hashable) -> None:
        """Do a piece of work that was captured."""
        self._kept[key]()

    def peak(self, key: Hashable) -> int:
        """Bytes of intermediate tensors that the work needed when it was warmed."""
        return self._peak.get(key, 0)

    def add(self, key: Hashable, work: Callable[[], None]) -> None:
        """Warm a piece of work, and capture it; once for each key.

        Raises:
            PreparationError: It cannot be compiled or captured.
            torch.cuda.OutOfMemoryError: There is not memory enough.
        """
        if key in self._kept:
            self._kept.move_to_end(key)
            return
        while len(self._kept) >= self._most:
            oldest, _ = self._kept.popitem(last=False)
            self._peak.pop(oldest, None)
        try:
            self._kept[key] = self._captured(key, work) if self._graphs else self._warmed(work)
        except Exception as error:
            if self._graphs:
                # What a capture broken off leaves in the pool is not to be trusted, out of memory or not.
                self._pool = torch.cuda.graph_pool_handle()
            if isinstance(error, (torch.cuda.OutOfMemoryError, UserError)):
                raise
            line = next((line for line in str(error).splitlines() if line.strip()), "")
            raise PreparationError(f"{type(error).__name__}: {line.strip()}") from error

    def _warmed(self, work: Callable[[], None]) -> Callable[[], None]:
        with torch.no_grad():
            work()
        return work

    def _captured(self, key: Hashable, work: Callable[[], None]) -> Callable[[], None]:
        stream = torch.cuda.Stream(self._device)
        stream.wait_stream(torch.cuda.current_stream(self._device))
        graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.stream(stream):
            # Compiling, tuning and libraries' own allocations happen here, outside of the capture; in the first run,
            # so that the last one's memory is the work's alone.
            for _ in range(_WARM_RUNS):
                torch.cuda.reset_peak_memory_stats(self._device)
                before = torch.cuda.memory_allocated(self._device)
                work()
            stream.synchronize()
            self._peak[key] = torch.cuda.max_memory_allocated(self._device) - before
            if self._peak[key] > torch.cuda.mem_get_info(self._device)[0]:
                # What warming took is kept for other work; the capture, which takes as much anew, would not fit beside.
                torch.cuda.empty_cache()
            # Other threads read the card's state meanwhile, which a stricter mode would take for an error.
            with torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"):
                work()
        torch.cuda.current_stream(self._device).wait_stream(stream)
        return graph.replay
