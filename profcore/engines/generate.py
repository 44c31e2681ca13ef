"""transformers' own `generate` over the same modules: the peer that a user of transformers has, beside the engines.

Vision encoder and projector run as modules; what they give goes into `generate` as embeddings. It knows no stages, and
is told of each step by a logits processor, which adds no kernel: a boundary is where a token's logits are there, before
the token is chosen from them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from profcore.engines.base import PreparationError, StopRequestedError
from profcore.errors import UserError
from profcore.models.experts import check_memory
from profcore.models.knobs import turned
from profcore.spec.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from profcore.engines.base import StageClock
    from profcore.models.inputs import ModelInputs
    from profcore.models.molmoe import MolmoE
    from profcore.spec.settings import Setting


class GenerateEngine:
    """See `profcore.engines.base.Engine`."""

    name = "generate"

    def __init__(self, model: MolmoE, cache: str | None = "static") -> None:
        """Take the model as it is.

        Args:
            model: The model.
            cache: A name of transformers' caches: with 'static' `generate` compiles the decode step, and captures it,
                by itself; None for the cache that it takes unless told.
        """
        self._model, self._cache = model, cache
        self._ready: set[tuple[int, Setting]] = set()
        # Answers have their setting's length here: with no token that ends them there is nothing to look for.
        model.llm.generation_config = GenerationConfig(eos_token_id=None, pad_token_id=None)

    @property
    def experts(self) -> str:
        """Transformers' experts implementation of each stage, between which `generate` changes over by itself."""
        return str(self._model.experts)

    def prepare(self, inputs: ModelInputs, setting: Setting, tell: Callable[[str], None] | None = None) -> int | None:
        """As `Engine.prepare`: `generate` compiles what it compiles in its first answers of a length.

        Raises:
            PreparationError: It cannot compile them.
            UserError: The setting skips blocks, of which `generate` runs every one, or does not fit the memory.
        """
        if not all(setting.block_mask):
            raise UserError("generate runs every transformer block: give it no block mask.")
        model = self._model
        check_memory(model.experts, model.config, model.dtype, model.device, inputs.num_input_tokens, setting)
        key = (inputs.num_input_tokens, replace(setting, grid=(1, 1)))
        if key in self._ready or self._cache is None:
            return None
        if tell:
            tell("Compiling generate's decode step")
        try:
            # The second answer captures what the first compiled.
            for _ in range(2):
                self.infer(inputs, setting)
        except (UserError, torch.cuda.OutOfMemoryError):
            raise
        except Exception as error:
            line = next((line for line in str(error).splitlines() if line.strip()), "")
            raise PreparationError(f"{type(error).__name__}: {line.strip()}") from error
        self._ready.add(key)
        return None

    @torch.no_grad()
    def infer(
        self,
        inputs: ModelInputs,
        setting: Setting,
        clock: StageClock | None = None,
        stop: Callable[[], bool] | None = None,
        keep_logits: bool = False,
    ) -> tuple[Tensor, list[Tensor]]:
        """As `Engine.infer`."""
        model = self._model
        listening = _Listening(setting.output_tokens, clock, stop, keep_logits)
        options = GenerationConfig(
            max_new_tokens=setting.output_tokens, do_sample=False, use_cache=True, cache_implementation=self._cache
        )
        with turned(model, setting):
            if clock:
                clock.start()
            features = model.encode(inputs.pixels)
            if clock:
                clock.mark(Stage.VISION_ENCODER)
            image_tokens = model.project(features, inputs.masks)
            if clock:
                clock.mark(Stage.PROJECTOR)
            states = model.embed(inputs.input_ids, image_tokens, inputs.sources, inputs.positions)
            tokens = model.llm.generate(
                inputs_embeds=states,
                # Said, since `generate` would otherwise look for padding, and wait for the device to do so.
                attention_mask=torch.ones(states.shape[:2], dtype=torch.int64, device=states.device),
                generation_config=options,
                logits_processor=LogitsProcessorList([listening]),
            )
            if clock:
                clock.finish()
        return tokens[0], listening.logits

    def stage_works(self, inputs: ModelInputs, setting: Setting) -> dict[Stage, Callable[[], None]]:
        """None: prefill and decode are one call of `generate`.

        Raises:
            UserError: Always.
        """
        raise UserError("generate runs prefill and decode in one call, so that no stage can be repeated by itself.")


class _Listening(LogitsProcessor):
    """Tells a clock of each token's logits, and changes none of them."""

    def __init__(self, tokens: int, clock: StageClock | None, stop: Callable[[], bool] | None, keep: bool) -> None:
        self._left, self._tokens, self._clock, self._stop, self._keep = tokens, tokens, clock, stop, keep
        self.logits: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """As `LogitsProcessor`."""
        # generate may look one step ahead before it stops.
        if self._left:
            if self._clock and self._left == self._tokens:
                self._clock.mark(Stage.LLM_PREFILL)
            elif self._clock:
                self._clock.step()
            if self._keep:
                self.logits.append(scores[0].clone())
            self._left -= 1
            if self._left and self._stop and self._stop():
                raise StopRequestedError
        return scores
