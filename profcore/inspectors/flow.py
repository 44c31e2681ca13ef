"""`inspect flow`: one inference traced module by module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import DynamicCache

from profcore.spec.stages import MODEL_STAGES, Stage

if TYPE_CHECKING:
    from profcore.inspectors.base import Inspection
    from profcore.models.inputs import ModelInputs
    from profcore.models.molmoe import MolmoE


@torch.inference_mode()
def inspect(asked: Inspection) -> dict[str, Any]:
    """Every module's call in the order it ends: shapes, dtype, statistics of what it gives, and its bytes.

    Stages are run by transformers' modules as they are, whichever engine is chosen: captured kernels have no modules.

    Raises:
        UserError: The picture cannot be read.
    """
    model, inputs = asked.loaded.model, asked.inputs()
    stage: list[Stage] = [Stage.VISION_ENCODER]
    calls: list[dict[str, Any]] = []
    statistics: list[torch.Tensor] = []

    def note(name: str) -> Any:
        def hook(module: torch.nn.Module, given: tuple[Any, ...], result: Any) -> None:
            tensor = _first(result)
            if tensor is None:
                return
            taken = _first(given)
            values = tensor.float()
            calls.append(
                {
                    "stage": str(stage[0]),
                    "module": name,
                    "kind": type(module).__name__,
                    "depth": name.count("."),
                    "input_shape": None if taken is None else list(taken.shape),
                    "output_shape": list(tensor.shape),
                    "dtype": str(tensor.dtype).removeprefix("torch."),
                    "bytes": tensor.numel() * tensor.element_size(),
                }
            )
            # Left on the device: reading every one of them would take longer than all of the rest.
            parts = values.mean(), values.std(correction=0), values.min(), values.max(), values.isnan().sum().float()
            statistics.append(torch.stack(parts))

        return hook

    hooks = [module.register_forward_hook(note(name)) for name, module in model.named_modules() if name]
    try:
        _run(model, inputs, stage)
    finally:
        for hook in hooks:
            hook.remove()
    for call, row in zip(calls, torch.stack(statistics).tolist(), strict=True):
        call |= dict(zip(("mean", "std", "min", "max"), row, strict=False)) | {"nan": int(row[4])}
    totals = {
        str(each): {
            "modules": sum(call["stage"] == each for call in calls),
            "bytes": sum(call["bytes"] for call in calls if call["stage"] == each),
        }
        for each in MODEL_STAGES
    }
    return {
        "calls": calls,
        "stages": totals,
        "num_input_tokens": inputs.num_input_tokens,
        "num_crops": inputs.num_crops,
        "nan": sum(call["nan"] for call in calls),
    }


def _run(model: MolmoE, inputs: ModelInputs, stage: list[Stage]) -> None:
    """One inference of two tokens, saying which stage it is in."""
    features = model.encode(inputs.pixels)
    stage[0] = Stage.PROJECTOR
    image_tokens = model.project(features, inputs.masks)
    stage[0] = Stage.LLM_PREFILL
    cache, length = DynamicCache(), inputs.num_input_tokens
    states = model.embed(inputs.input_ids, image_tokens, inputs.sources, inputs.positions)
    positions = torch.arange(length + 1, device=states.device)[None]
    token = model.logits(model.run_blocks(states, positions[:, :length], cache)[:, -1:]).argmax(dim=-1)
    stage[0] = Stage.LLM_DECODE
    model.logits(model.run_blocks(model.llm.model.embed_tokens(token), positions[:, length:], cache))


def _first(value: Any) -> torch.Tensor | None:
    """The first tensor of what a module takes or gives."""
    if isinstance(value, torch.Tensor):
        return value if value.is_floating_point() or value.numel() else None
    if isinstance(value, (tuple, list)):
        return next((found for each in value if (found := _first(each)) is not None), None)
    return None
