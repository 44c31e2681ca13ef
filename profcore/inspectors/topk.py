"""`inspect topk`: proof that top-k takes effect, and which experts are used, for a real picture and a solid one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from profcore.engines import eager
from profcore.engines.base import StopRequestedError
from profcore.errors import UserError
from profcore.images.pictures import SOLID, load_picture
from profcore.measure.routing import routed
from profcore.models.knobs import turned
from profcore.spec.queries import Picture
from profcore.spec.settings import Setting

if TYPE_CHECKING:
    from PIL import Image

    from profcore.inspectors.base import Inspection
    from profcore.models.families.adapter import VisionLanguageModel
    from profcore.models.families.inputs import FamilyInputs

_STEPS = 4


def inspect(asked: Inspection) -> dict[str, Any]:
    """For each top-k and picture: experts that each token used, distinct experts hit and load imbalance by block.

    What is counted are the indices that the experts themselves are handed, not what the router was asked for.
    Transformers' modules are looked at, whichever engine is chosen: captured kernels have no modules.

    Raises:
        UserError: A top-k is not one of the model's, or the picture cannot be read.
    """
    model = asked.loaded.model
    config = model.config
    values = [
        int(value) for value in asked.arguments.get("values") or _default_values(config.num_experts, config.top_k)
    ]
    if wrong := [value for value in values if not 1 <= value <= config.num_experts]:
        raise UserError(f"Top-k {wrong[0]} is out of range: give 1 to {config.num_experts}.")
    image = asked.image()
    pictures = {"real": image, "solid": _solid_like(image)}
    inputs = {picture: asked.inputs(shown) for picture, shown in pictures.items()}
    found = []
    for top_k in values:
        used = {}
        for picture in pictures:
            if asked.stop():
                raise StopRequestedError
            asked.tell(f"Top-k {top_k} on the {picture} picture")
            used[picture] = _routed(model, inputs[picture], top_k)
        for picture in pictures:
            for phase, blocks in used[picture].items():
                row = {"picture": picture, "top_k": top_k, "phase": phase}
                unlike = differing(used["real"][phase], used["solid"][phase])
                found.append({**row, **describe(blocks, experts_of(model), top_k), "unlike": unlike})
    return {
        "picture": asked.picture.to_dict(),
        "experts": experts_of(model),
        "blocks": len(found[0]["load"]),
        "values": values,
        "weights": asked.loaded.weights,
        "routing": found,
        "passed": all(each["passed"] for each in found),
    }


def _default_values(experts: int, own: int) -> list[int]:
    return sorted({value for value in (1, 2, 4, own, 16, 32) if value <= experts})


def _solid_like(image: Image.Image) -> Image.Image:
    """The published dummy, a solid colour, of a picture's size, so that both have as many tokens."""
    return load_picture(Picture("solid", SOLID)).resize(image.size)


def experts_of(model: Any) -> int:
    """The experts that a block's tokens may go to; of several sets of them all."""
    sets = max(map(len, model.expert_modules())) if hasattr(model, "turned") else 1
    return model.config.num_experts * sets


def _routed(model: Any, inputs: Any, top_k: int) -> dict[str, list[torch.Tensor]]:
    """The experts of each token in prefill and decode, for each block (tokens, chosen); of blocks that have any."""
    config = model.config
    if hasattr(model, "turned"):
        return _family_routed(model, inputs, Setting((1, 1), top_k, (True,) * config.n_layers, 1 + _STEPS))
    calls: list[list[torch.Tensor]] = [[] for _ in range(config.n_layers)]

    def note(block: int) -> Any:
        def hook(module: torch.nn.Module, given: tuple[Any, ...]) -> None:
            calls[block].append(given[1])

        return hook

    setting = Setting((1, 1), top_k, (True,) * config.n_layers, 1 + _STEPS)
    layers = model.llm.model.layers
    hooks = [layer.mlp.experts.register_forward_pre_hook(note(block)) for block, layer in enumerate(layers)]
    try:
        with turned(model, setting):
            eager.infer(model, inputs, 1 + _STEPS)
    finally:
        for hook in hooks:
            hook.remove()
    return {"prefill": [each[0] for each in calls], "decode": [torch.cat(each[1:]) for each in calls]}


def _family_routed(model: VisionLanguageModel, inputs: FamilyInputs, setting: Setting) -> dict[str, list[torch.Tensor]]:
    """As `_routed`; a prefill is run by itself, since a block may have several sets of experts."""
    whole = [calls for calls in routed(model, inputs, setting) if calls]
    prompt = [calls for calls in routed(model, inputs, replace(setting, output_tokens=1)) if calls]
    return {
        "prefill": [torch.cat(calls) for calls in prompt],
        "decode": [torch.cat(calls[len(before) :]) for calls, before in zip(whole, prompt, strict=True)],
    }


def differing(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    """The share of tokens, over all blocks, that use another set of experts; both are of as many tokens.

    Shapes:
        one, other: For each block (tokens, chosen).
    """
    unlike = [(a.sort(1).values != b.sort(1).values).any(1).float().mean() for a, b in zip(one, other, strict=True)]
    return float(torch.stack(unlike).mean())


def describe(used: list[torch.Tensor], experts: int, top_k: int) -> dict[str, Any]:
    """What some tokens' choices of experts come to.

    Shapes:
        used: For each block (tokens, chosen), the experts that each token used.

    Returns:
        `per_token` (least and most distinct experts of a token), `passed` (both are top-k), `distinct` (experts hit, by
        block), `imbalance` (the busiest expert's tokens over the mean of all experts, by block), `load` (tokens of each
        expert, by block).
    """
    load, least, most = [], [], []
    for block in used:
        hit = torch.zeros(block.shape[0], experts, device=block.device).scatter_(1, block, 1.0)
        count = hit.sum(1)
        least.append(count.min())
        most.append(count.max())
        load.append(hit.sum(0))
    table = torch.stack(load)
    ends = int(torch.stack(least).min()), int(torch.stack(most).max())
    return {
        "tokens": int(used[0].shape[0]),
        "per_token": list(ends),
        "passed": ends == (top_k, top_k),
        "distinct": (table > 0).sum(1).tolist(),
        "imbalance": [round(value, 4) for value in (table.max(1).values / table.mean(1)).tolist()],
        "load": table.int().tolist(),
    }
