"""The eager engine: transformers' modules as they are, kernels launched one by one from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache

from profcore.engines.base import StopRequestedError
from profcore.engines.eager_stages import EagerStages
from profcore.engines.greedy_loop import GreedyLoop
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


class EagerEngine:
    """See `profcore.engines.base.Engine`."""

    name = "eager"

    def __init__(self, model: MolmoE) -> None:
        self._model = model

    @property
    def experts(self) -> str:
        """Transformers' experts implementation of each stage."""
        return str(self._model.experts)

    def prepare(self, inputs: ModelInputs, setting: Setting, tell: Callable[[str], None] | None = None) -> int | None:
        """Nothing but to see that its experts fit the memory: modules run as they are.

        Raises:
            UserError: They do not fit.
        """
        model = self._model
        check_memory(model.experts, model.config, model.dtype, model.device, inputs.num_input_tokens, setting)
        return None

    def infer(
        self,
        inputs: ModelInputs,
        setting: Setting,
        clock: StageClock | None = None,
        stop: Callable[[], bool] | None = None,
        keep_logits: bool = False,
    ) -> tuple[Tensor, list[Tensor]]:
        """As `Engine.infer`."""
        with turned(self._model, setting):
            return infer(self._model, inputs, setting.output_tokens, clock, stop, keep_logits)

    def stage_works(self, inputs: ModelInputs, setting: Setting) -> dict[Stage, Callable[[], None]]:
        """As `Engine.stage_works`."""
        self.prepare(inputs, setting)
        return EagerStages(self._model, inputs, setting).works()


@torch.inference_mode()
def infer(
    model: Any,
    inputs: Any,
    output_tokens: int,
    clock: StageClock | None = None,
    stop: Callable[[], bool] | None = None,
    keep_logits: bool = False,
    end: int | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """As `Engine.infer`, on a model whose knobs are turned.

    Args:
        model: A MolmoE or a model of another family.
        inputs: As there.
        output_tokens: The most tokens to make.
        clock: As there.
        stop: As there.
        keep_logits: As there.
        end: The token after which no other is made; the host then waits for each, so that no clock goes with it.
    """
    if hasattr(model, "turned"):
        loop = GreedyLoop(model, output_tokens, clock, stop, keep_logits, end=end)
        return loop.run(inputs), loop.logits
    logits_kept: list[Tensor] = []
    if clock:
        clock.start()
    features = model.encode(inputs.pixels)
    if clock:
        clock.mark(Stage.VISION_ENCODER)
    image_tokens = model.project(features, inputs.masks)
    if clock:
        clock.mark(Stage.PROJECTOR)

    cache = DynamicCache()
    states = model.embed(inputs.input_ids, image_tokens, inputs.sources, inputs.positions)
    positions = torch.arange(inputs.num_input_tokens + output_tokens, device=states.device)[None]
    logits = model.logits(model.run_blocks(states, positions[:, : inputs.num_input_tokens], cache)[:, -1:])
    token = logits.argmax(dim=-1)
    if clock:
        clock.mark(Stage.LLM_PREFILL)
    tokens = [token]
    if keep_logits:
        logits_kept.append(logits[0, 0])

    embed_tokens = model.llm.model.embed_tokens
    with model.decoding():
        for position in range(inputs.num_input_tokens, inputs.num_input_tokens + output_tokens - 1):
            if stop and stop():
                raise StopRequestedError
            if end is not None and int(token) == end:
                break
            logits = model.logits(model.run_blocks(embed_tokens(token), positions[:, position : position + 1], cache))
            token = logits.argmax(dim=-1)
            tokens.append(token)
            if clock:
                clock.step()
            if keep_logits:
                logits_kept.append(logits[0, 0])
    if clock:
        clock.finish()
    return torch.cat(tokens, dim=1)[0], logits_kept
