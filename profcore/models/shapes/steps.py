"""A training step on a card, captured once for each shape of what it sees: issued piece by piece, the host is too slow.

Source: PyTorch's notes on CUDA graphs, whole-network capture. Weights and moments stay where they are, what a step sees
is copied into place, and what it is turned by are tensors.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from profcore.models.shapes.forward import Knobs, Tensors

Held = TypeVar("Held", bound=Any)
_WARM_UPS = 3


@dataclass(frozen=True)
class Work:
    """The parts of a step.

    Attributes:
        learn: The forward and the backward pass; what it gives is worth a look.
        finish: Takes the gradients, moves the weights, and forgets the gradients.
        forget: Forgets the gradients alone.
    """

    learn: Callable[[Tensors, Knobs], Any]
    finish: Callable[[], None]
    forget: Callable[[], None]


class PlainSteps:
    """Steps as they are."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def __call__(self, batch: Tensors, knobs: Knobs) -> Any:
        """One step, and what it gives."""
        found = self._work.learn(batch, knobs)
        self._work.finish()
        return found


class Captured:
    """Steps by graphs, all of which share the memory of what lies between their ends."""

    def __init__(self, work: Work) -> None:
        """Nothing is captured before it is asked for."""
        self._work = work
        self._begun = False
        self._pool: Any = None
        self._graphs: dict[Hashable, tuple[Any, Tensors, Knobs, Any]] = {}

    def __call__(self, batch: Tensors, knobs: Knobs) -> Any:
        """One step; what it gives holds until the next."""
        if not self._begun:
            # The first as it is: it makes the moments, which have to be there before a step is captured.
            self._begun = True
            found = self._work.learn(batch, knobs)
            self._work.finish()
            return found
        key = (batch.tiling, *(each.shape for each in _tensors(batch)), *(each.shape for each in _tensors(knobs)))
        if key not in self._graphs:
            self._graphs[key] = self._captured(_copied(batch), _copied(knobs))
        graph, seen, turned, found = self._graphs[key]
        for place, value in zip(
            (*_tensors(seen), *_tensors(turned)), (*_tensors(batch), *_tensors(knobs)), strict=True
        ):
            place.copy_(value)
        graph.replay()
        return found

    def _captured(self, batch: Tensors, knobs: Knobs) -> tuple[Any, Tensors, Knobs, Any]:
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                self._work.learn(batch, knobs)
                self._work.forget()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Of this thread alone: another takes pinned memory for the next batch meanwhile.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            found = self._work.learn(batch, knobs)
            self._work.finish()
        self._pool = self._pool or graph.pool()
        return graph, batch, knobs, found


def _tensors(held: Any) -> list[Tensor]:
    values = (getattr(held, field.name) for field in fields(held))
    return [value for value in values if isinstance(value, Tensor)]


def _copied(held: Held) -> Held:
    """The same with tensors of its own."""
    values = {field.name: getattr(held, field.name) for field in fields(held)}
    return replace(held, **{name: value.clone() for name, value in values.items() if isinstance(value, Tensor)})
