"""What goes before the first token: a picture's way to the card, and the routed experts of a prefill."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import torch

from profcore.bench.base import Figure, at_most
from profcore.images.pictures import PHOTOS, timed_picture
from profcore.models.inputs import picture_inputs
from profcore.spec.queries import DEFAULT_PROMPT, Picture
from profcore.spec.settings import MAX_CROPS

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from profcore.models.load import LoadedModel
    from profcore.spec.runs import Target
    from profcore.worker.shelf import ModelShelf

_TIMES = 10
# A prompt of so many tokens, whose tokens are routed to so many of the experts: what random weights give at 1×6.
_TOKENS, _HIT = 806, 31
# More than any card's cache holds.
_COLD_BYTES = 2**28


def preprocessing(target: Target, shelf: ModelShelf) -> list[Figure]:
    """From a photograph in memory to all tensors on the device, and before that its file; the slowest photographs.

    Each is read anew every time, as before a sample of a run: what was sent to a card before is quicker to send again.
    """
    loaded = shelf.get(target)
    made, read = {}, {}
    for name in PHOTOS:
        times = [_once(loaded, Picture("photo", name)) for _ in range(_TIMES + 1)][1:]
        made[name], read[name] = (statistics.median(each) for each in zip(*times, strict=True))
    slowest, longest = (max(taken, key=lambda name: taken[name]) for taken in (made, read))
    on_card = loaded.model.device.type == "cuda"
    of_all = f"the slowest of {len(PHOTOS)} photographs"
    how = f"{slowest}, {of_all}, tiled by the model's rule, read anew each time, median of {_TIMES}"
    asked = (at_most(8), at_most(3)) if on_card else (None, None)
    return [
        Figure("preprocessing", made[slowest], "ms", how, *asked),
        Figure("picture-reading", read[longest], "ms", f"{longest}, {of_all}: file read and decoded, in no latency"),
    ]


def _once(loaded: LoadedModel, photograph: Picture) -> tuple[float, float]:
    """Milliseconds of preprocessing a photograph, and of reading its file before."""
    picture, reading_ms = timed_picture(photograph)
    assert reading_ms is not None
    return picture_inputs(loaded, picture, MAX_CROPS, DEFAULT_PROMPT).host_preprocessing_ms, reading_ms


def experts(target: Target, shelf: ModelShelf) -> list[Figure]:
    """The routed experts of a block in a prefill, all kernels, as a captured graph with a cold cache; a GPU's alone."""
    loaded = shelf.get(target)
    device, config = loaded.model.device, loaded.model.config
    if device.type != "cuda" or shelf.engine(target).name != "compiled":
        return []
    from profcore.engines.kernels.prefill import experts as routed

    def made(*shape: int) -> Tensor:
        return torch.randn(shape, device=device, dtype=loaded.model.dtype) / 8

    width, units, count = config.d_model, config.expert_width, config.num_experts
    states, normed, logits = made(_TOKENS, width), made(_TOKENS, width), made(_TOKENS, count)
    logits[:, _HIT:] -= 100
    weights = made(count, 2 * units, width), made(count, width, units)

    def work() -> Tensor:
        return routed(states, normed, logits, *weights, config.top_k)

    took = statistics.median(_replayed_ms(work, device))
    how = f"{_TOKENS} tokens, top-{config.top_k}, {_HIT} of {count} experts hit, a block, cold, median of {_TIMES}"
    asked = (at_most(0.21), at_most(0.17)) if target.model == "molmoe-1b" else (None, None)
    return [Figure("experts", took, "ms", how, *asked)]


def _replayed_ms(work: Callable[[], Tensor], device: torch.device) -> list[float]:
    """Milliseconds of each replay of work as a graph, nothing of which is in the card's cache."""
    for _ in range(3):
        work()
    torch.cuda.synchronize(device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    cold, times = torch.empty(_COLD_BYTES, dtype=torch.uint8, device=device), []
    for _ in range(_TIMES):
        cold.zero_()
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return times
