"""Which experts a setting really uses: counted on one inference of its own, outside of any sample."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from profcore.engines import eager
from profcore.models.knobs import turned

if TYPE_CHECKING:
    from profcore.models.families.adapter import VisionLanguageModel
    from profcore.models.families.inputs import FamilyInputs
    from profcore.spec.settings import Setting


def prefill_experts(model: Any, inputs: Any, setting: Setting) -> tuple[int, ...]:
    """Distinct experts that the prompt's tokens are routed to, for each active block in turn."""
    if hasattr(model, "turned"):
        return _family_experts(model, inputs, setting)
    used: list[torch.Tensor] = []

    def note(module: Any, arguments: Any, outputs: tuple[torch.Tensor, ...]) -> None:
        used.append(torch.zeros(model.config.num_experts, device=model.device).index_fill_(0, outputs[2].flatten(), 1))

    with turned(model, setting):
        hooks = [model.llm.model.layers[index].mlp.gate.register_forward_hook(note) for index in model.active_blocks]
        try:
            eager.infer(model, inputs, 1)
        finally:
            for hook in hooks:
                hook.remove()
    return tuple(int(count) for count in torch.stack(used).sum(1).tolist())


def _family_experts(model: VisionLanguageModel, inputs: FamilyInputs, setting: Setting) -> tuple[int, ...]:
    """As `prefill_experts`: 0 of a block without experts."""
    used = routed(model, inputs, replace(setting, output_tokens=1))
    return tuple(
        int(torch.cat(calls).unique().numel()) if calls else 0
        for calls, on in zip(used, setting.block_mask, strict=True)
        if on
    )


def routed(model: VisionLanguageModel, inputs: FamilyInputs, setting: Setting) -> list[list[torch.Tensor]]:
    """What the experts of each block are given to be chosen, (tokens, chosen), one for each time they are called.

    Where a block has several sets of experts, such as one of text and one of pictures, their numbers follow each other.
    """
    found: list[list[torch.Tensor]] = [[] for _ in model.layers]
    hooks = []

    def note(block: int, before: int) -> Any:
        def hook(module: Any, arguments: tuple[Any, ...]) -> None:
            found[block].append(arguments[1] + before)

        return hook

    for block, modules in enumerate(model.expert_modules()):
        for place, module in enumerate(modules):
            hooks.append(module.register_forward_pre_hook(note(block, place * model.config.num_experts)))
    try:
        with turned(model, setting):
            eager.infer(model, inputs, setting.output_tokens)
    finally:
        for hook in hooks:
            hook.remove()
    return found
