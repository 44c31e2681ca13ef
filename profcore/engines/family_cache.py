"""A static cache for any block mask, over transformers' own: as long as an answer needs, rewound without clearing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import StaticCache
from transformers.cache_utils import StaticLayer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.models.families.adapter import VisionLanguageModel


class RewoundCache(StaticCache):
    """A static cache whose length is that of a block that runs, and whose layers are all of full length.

    Layers of a sliding window would change over at a length of theirs, which a captured step cannot; under the mask of
    the window a full one gives the same.

    Attributes:
        empty: Whether it was rewound to where the prompt is yet to come.
    """

    def __init__(self, config: Any, length: int, first_active: int) -> None:
        super().__init__(config=config, max_cache_len=length)
        self.layers: list[Any] = [StaticLayer(length) for _ in range(config.num_hidden_layers)]
        self._first_active = first_active
        self.empty = False

    def get_seq_length(self, layer_idx: int = 0) -> Any:
        """Tokens seen so far: a block that is left out sees none, and is not asked.

        Before the prompt it is a number of the host's, at which masks may be looked for without asking the device.
        """
        return 0 if self.empty else super().get_seq_length(max(layer_idx, self._first_active))

    def rewind(self, length: int) -> None:
        """Go on from after so many tokens; what stands behind is masked until it is written anew."""
        self.empty = length == 0
        lengths = [layer.cumulative_length for layer in self.layers if layer.is_initialized]
        if lengths:
            torch._foreach_zero_(lengths)
            if length:
                torch._foreach_add_(lengths, length)


def static_cache(model: VisionLanguageModel, length: int, block_mask: Sequence[bool]) -> RewoundCache:
    """An empty cache of so many positions for a model of which some blocks run."""
    first = next(index for index, active in enumerate(block_mask) if active)
    return RewoundCache(model.hf.config.get_text_config(decoder=True), length, first)
