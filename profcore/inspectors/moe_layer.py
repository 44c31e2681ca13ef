"""`inspect moe-layer`: a block's router and experts, their shapes, parameters and bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profcore.engines import make_engine

if TYPE_CHECKING:
    from profcore.inspectors.base import Inspection


def inspect(asked: Inspection) -> dict[str, Any]:
    """What is in one block's mixture of experts; all blocks are alike.

    Raises:
        UserError: The target's engine does not run there.
    """
    model = asked.loaded.model
    config, mlp = model.config, model.llm.model.layers[0].mlp
    weights = {f"experts.{name}": parameter for name, parameter in mlp.experts.named_parameters()}
    weights["gate.weight"] = mlp.gate.weight
    rows = [
        {
            "weight": name,
            "shape": list(parameter.shape),
            "parameters": parameter.numel(),
            "bytes": parameter.numel() * parameter.element_size(),
        }
        for name, parameter in sorted(weights.items())
    ]
    total, size = sum(row["parameters"] for row in rows), mlp.gate.weight.element_size()
    expert = sum(row["parameters"] for row in rows if row["weight"] != "gate.weight") // config.num_experts
    active = total - (config.num_experts - config.top_k) * expert
    return {
        "blocks": config.n_layers,
        "experts": config.num_experts,
        "top_k": config.top_k,
        "hidden": config.d_model,
        "expert_width": config.expert_width,
        "activation": "SwiGLU: down(silu(gate x) * up x)",
        "router": "softmax over all experts in float32, then top-k; weights are not made to add up to one",
        "normalised": bool(mlp.gate.norm_topk_prob),
        "router_class": type(mlp.gate).__name__,
        "experts_class": type(mlp.experts).__name__,
        "implementation": make_engine(asked.target.engine, model).experts,
        "engine": asked.target.engine,
        "dtype": str(model.dtype).removeprefix("torch."),
        "weights": rows,
        "expert_parameters": expert,
        "block_parameters": total,
        "block_active_parameters": active,
        "block_bytes": total * size,
        "block_active_bytes": active * size,
        "model_parameters": total * config.n_layers,
        "model_bytes": total * size * config.n_layers,
    }
