"""The eager engine: transformers' modules as they are, kernels launched one by one from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from transformers import DynamicCache

from profcore.spec import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from profcore.measure.clock import StageClock
    from profcore.models.inputs import ModelInputs
    from profcore.models.molmoe import MolmoE


class StopRequestedError(Exception):
    """The run was asked to stop in the middle of an inference, which is then thrown away."""


@torch.inference_mode()
def infer(
    model: MolmoE,
    inputs: ModelInputs,
    output_tokens: int,
    clock: StageClock | None = None,
    stop: Callable[[], bool] | None = None,
    keep_logits: bool = False,
) -> tuple[Tensor, list[Tensor]]:
    """One inference: picture and prompt in, exactly `output_tokens` greedy tokens out, EOS or not.

    One pass: vision encoder, projector, prefill (which yields the first token), then decode steps. Tokens stay
    on the device, so that nothing here waits for it.

    Args:
        model: The model, its knobs turned.
        inputs: Picture and prompt on the model's device.
        output_tokens: Tokens to generate, at least 1.
        clock: Told of each boundary; None for a bare inference.
        stop: Asked before each decode step whether to give up.
        keep_logits: Whether to return the logits that each token was chosen from.

    Returns:
        Tokens (output_tokens,), and logits (embedding_size,) of each if asked for.

    Raises:
        StopRequestedError: `stop` said so.
    """
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
    logits = model.logits(model.run_blocks(states, 0, cache)[:, -1:])
    token = logits.argmax(dim=-1)
    if clock:
        clock.mark(Stage.LLM_PREFILL)
    tokens = [token]
    if keep_logits:
        logits_kept.append(logits[0, 0])

    embed_tokens = model.llm.model.embed_tokens
    for position in range(inputs.num_input_tokens, inputs.num_input_tokens + output_tokens - 1):
        if stop and stop():
            raise StopRequestedError
        logits = model.logits(model.run_blocks(embed_tokens(token), position, cache))
        token = logits.argmax(dim=-1)
        tokens.append(token)
        if clock:
            clock.step()
        if keep_logits:
            logits_kept.append(logits[0, 0])
    if clock:
        clock.finish()
    return torch.cat(tokens, dim=1)[0], logits_kept
