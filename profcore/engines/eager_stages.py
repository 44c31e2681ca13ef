"""The eager engine's stages one by one, each to be done again and again as an inference does it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from transformers import DynamicCache

from profcore.models.knobs import turned
from profcore.spec.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from profcore.models.inputs import ModelInputs
    from profcore.models.molmoe import MolmoE
    from profcore.spec.settings import Setting


class EagerStages:
    """What each stage hands on is kept, so that any of them can be repeated once all have run in their order.

    Attributes:
        tokens: Those of the last decode, (output_tokens,); the first alone before one.
    """

    def __init__(self, model: MolmoE, inputs: ModelInputs, setting: Setting) -> None:
        self._model, self._inputs, self._setting = model, inputs, setting
        self._features: Tensor
        self._image_tokens: Tensor
        self._cache = DynamicCache()
        self.tokens: Tensor

    def works(self) -> dict[Stage, Callable[[], None]]:
        """The stages in their order; without decode where one token is asked for."""
        works = {
            Stage.VISION_ENCODER: self._encode,
            Stage.PROJECTOR: self._project,
            Stage.LLM_PREFILL: self._prefill,
            Stage.LLM_DECODE: self._decode,
        }
        if self._setting.output_tokens == 1:
            del works[Stage.LLM_DECODE]
        return {stage: self._turned(work) for stage, work in works.items()}

    def _turned(self, work: Callable[[], None]) -> Callable[[], None]:
        def turned_work() -> None:
            with torch.inference_mode(), turned(self._model, self._setting):
                work()

        return turned_work

    def _encode(self) -> None:
        self._features = self._model.encode(self._inputs.pixels)

    def _project(self) -> None:
        self._image_tokens = self._model.project(self._features, self._inputs.masks)

    def _prefill(self) -> None:
        model, inputs = self._model, self._inputs
        self._cache = DynamicCache()
        states = model.embed(inputs.input_ids, self._image_tokens, inputs.sources, inputs.positions)
        positions = torch.arange(inputs.num_input_tokens, device=states.device)[None]
        logits = model.logits(model.run_blocks(states, positions, self._cache)[:, -1:])
        self.tokens = logits.argmax(dim=-1)[0]

    def _decode(self) -> None:
        model, first = self._model, self._inputs.num_input_tokens
        # A step makes new tensors of keys and values, so that those of the prefill stay as they are.
        cache = DynamicCache()
        cache.layers = [copy.copy(layer) for layer in self._cache.layers]
        tokens = [self.tokens[:1][None]]
        positions = torch.arange(first + self._setting.output_tokens, device=self.tokens.device)[None]
        with model.decoding():
            for position in range(first, first + self._setting.output_tokens - 1):
                states = model.llm.model.embed_tokens(tokens[-1])
                logits = model.logits(model.run_blocks(states, positions[:, position : position + 1], cache))
                tokens.append(logits.argmax(dim=-1))
        self.tokens = torch.cat(tokens, dim=1)[0]
