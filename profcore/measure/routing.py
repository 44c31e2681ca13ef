"""Which experts a setting really uses: counted on one inference of its own, outside of any sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from profcore.engines import eager
from profcore.models.knobs import turned

if TYPE_CHECKING:
    from profcore.models.inputs import ModelInputs
    from profcore.models.molmoe import MolmoE
    from profcore.spec.settings import Setting


def prefill_experts(model: MolmoE, inputs: ModelInputs, setting: Setting) -> tuple[int, ...]:
    """Distinct experts that the prompt's tokens are routed to, for each active block in turn."""
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
