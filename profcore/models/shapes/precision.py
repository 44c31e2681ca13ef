"""Mixed precision: weights that compute in bfloat16 on a card, beside those in float32 that learn.

Source: Micikevicius et al. 2018 (arXiv:1710.03740), its master copy of weights; bfloat16 needs no loss scaling.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Generic, TypeVar

import torch
from torch import nn

Learning = TypeVar("Learning", bound=nn.Module)


class Computing(Generic[Learning]):
    """What computes for a module that learns: on a card its copy in bfloat16, on a CPU the module itself.

    Attributes:
        module: What to compute with.
    """

    def __init__(self, learning: Learning, dtype: torch.dtype | None = None) -> None:
        """Copy it in a dtype; where none is given, in bfloat16 on a card."""
        on_card = next(learning.parameters()).device.type == "cuda"
        dtype = dtype or (torch.bfloat16 if on_card else torch.float32)
        self._learning: list[torch.Tensor] = list(learning.parameters())
        self.module = learning if dtype is torch.float32 else _copied(learning, dtype)
        self._computing: list[torch.Tensor] = list(self.module.parameters())

    def hand_over(self) -> None:
        """Give the gradients to the weights that learn; what had none has none there."""
        if self._learning[0] is self._computing[0]:
            return
        given, taken = [], []
        for learns, computes in zip(self._learning, self._computing, strict=True):
            if computes.grad is not None:
                learns.grad = torch.empty_like(learns)
                given.append(computes.grad)
                taken.append(learns.grad)
        torch._foreach_copy_(taken, given)

    @torch.no_grad()
    def follow(self) -> None:
        """Take the weights that have learnt, and forget all gradients."""
        if self._learning[0] is not self._computing[0]:
            torch._foreach_copy_(self._computing, self._learning)
        self.forget()

    def forget(self) -> None:
        """Forget all gradients."""
        for parameter in (*self._learning, *self._computing):
            parameter.grad = None


def _copied(learning: Learning, dtype: torch.dtype) -> Learning:
    """A copy whose weights alone are of another type: the frequencies of rotary embeddings are no weights.

    Rounded to bfloat16 they turn queries and keys a thousand tokens apart by a sixth of a radian too much or too
    little, and whoever loads the weights afterwards has them exact.
    """
    copy = deepcopy(learning)
    for parameter in copy.parameters():
        parameter.data = parameter.data.to(dtype)
    return copy
