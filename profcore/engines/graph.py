"""The graph engine: transformers' kernels as they are, each stage captured in a CUDA graph, over a static cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch

from profcore.engines.static import PictureSlot, PromptSlot, StaticEngine
from profcore.models.experts import check_memory
from profcore.models.knobs import turned

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import DynamicCache

    from profcore.models.inputs import ModelInputs
    from profcore.models.molmoe import MolmoE
    from profcore.spec.settings import Setting


class StaticKeyValues:
    """What transformers' attention takes for a cache, over the engine's own tensor.

    In a prefill new keys and values are put from the first position on, and attention sees them alone; in a decode
    step they are put at the engine's position, and attention sees the first `length` positions under a mask.
    """

    def __init__(self, cache: Tensor, position: Tensor | None = None, length: int = 0) -> None:
        self._cache, self._position, self._length = cache, position, length

    def update(self, keys: Tensor, values: Tensor, layer: int, *rest: Any, **more: Any) -> tuple[Tensor, Tensor]:
        """Put new keys and values, (1, heads, tokens, head_size), and give those that attention is to see."""
        held = self._cache[layer]
        if self._position is None:
            held[0, :, : keys.shape[2]] = keys[0]
            held[1, :, : values.shape[2]] = values[0]
            return keys, values
        held[0].index_copy_(1, self._position, keys[0])
        held[1].index_copy_(1, self._position, values[0])
        return held[0, None, :, : self._length], held[1, None, :, : self._length]


class GraphEngine(StaticEngine):
    """See `profcore.engines.base.Engine`."""

    name = "graph"

    def __init__(self, model: MolmoE, graphs: bool = True) -> None:
        super().__init__(model, graphs)

    @property
    def experts(self) -> str:
        """Transformers' experts implementation of each stage."""
        return str(self.model.experts)

    def check(self, inputs: ModelInputs, setting: Setting) -> None:
        """As `StaticEngine.check`."""
        model = self.model
        check_memory(model.experts, model.config, model.dtype, model.device, inputs.num_input_tokens, setting)

    def encode(self, slot: PictureSlot) -> None:
        """As `StaticEngine.encode`."""
        slot.features.copy_(self.model.encode(slot.pixels))

    def project(self, slot: PictureSlot) -> None:
        """As `StaticEngine.project`."""
        slot.image_tokens.copy_(self.model.project(slot.features, slot.masks))

    def prefill(self, picture: PictureSlot, prompt: PromptSlot, setting: Setting) -> None:
        """As `StaticEngine.prefill`."""
        states = self.model.embed(prompt.input_ids, picture.image_tokens, prompt.sources, prompt.positions)
        length = states.shape[1]
        positions = torch.arange(length, device=states.device)[None]
        cache = cast("DynamicCache", StaticKeyValues(self.cache))
        with turned(self.model, setting):
            states = self.model.run_blocks(states, positions, cache)
        self.position.fill_(length)
        self._choose(self.model.logits(states[0, -1]), self.position)

    def decode(self, length: int, setting: Setting) -> None:
        """As `StaticEngine.decode`."""
        states = self.model.llm.model.embed_tokens(self.token[None])
        mask = torch.arange(length, device=states.device)[None, None, None] <= self.position
        cache = cast("DynamicCache", StaticKeyValues(self.cache, self.position, length))
        with turned(self.model, setting), self.model.decoding():
            states = self.model.run_blocks(states, self.position[None], cache, mask)
        self.position.add_(1)
        self._choose(self.model.logits(states[0, 0]), self.position)

    def _choose(self, logits: Tensor, position: Tensor) -> None:
        self.logits.copy_(logits)
        self.token.copy_(logits.argmax(dim=-1, keepdim=True))
        self.tokens.index_copy_(0, position, self.token)
