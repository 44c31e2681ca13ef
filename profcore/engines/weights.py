"""The model's weights as the compiled pieces and kernels take them: neighbours that see the same input in one tensor.

Stacking makes one matrix product of several. The modules keep working, since each then holds a part of the stack; no
weight exists twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from profcore.models.molmoe import MolmoE, Projector

    Weights = tuple[Tensor, ...]


def stack(parameters: Sequence[Any]) -> Tensor:
    """Several parameters in one tensor, first above; each becomes a view of its part. Again at no cost."""
    rows = [parameter.shape[0] for parameter in parameters]
    first = parameters[0].data
    if _stacked(parameters):
        return first.as_strided((sum(rows), *first.shape[1:]), first.stride())
    whole = torch.cat([parameter.data for parameter in parameters])
    for parameter, part in zip(parameters, whole.split(rows), strict=True):
        parameter.data = part
    return whole


def _stacked(parameters: Sequence[Any]) -> bool:
    """Whether the parameters already lie one after another in one piece of memory."""
    if len({parameter.untyped_storage().data_ptr() for parameter in parameters}) > 1:
        return False
    ends = [parameter.data_ptr() + parameter.numel() * parameter.element_size() for parameter in parameters]
    return ends[:-1] == [parameter.data_ptr() for parameter in parameters[1:]]


def patch_weights(model: MolmoE) -> Weights:
    """For `pieces.embed_patches`."""
    embeddings, norm = model.vision.embeddings, model.vision.pre_layrnorm
    return (
        embeddings.patch_embedding.weight.data,
        embeddings.class_embedding.data,
        embeddings.position_embedding.weight.data,
        norm.weight.data,
        norm.bias.data,
    )


def vision_weights(model: MolmoE) -> list[Weights]:
    """For `pieces.vision_block`, block by block."""
    blocks: list[Weights] = []
    for layer in model.vision.encoder.layers:
        attention = layer.self_attn
        qkv = (attention.q_proj, attention.k_proj, attention.v_proj)
        blocks.append(
            (
                stack([linear.weight for linear in qkv]),
                stack([linear.bias for linear in qkv]),
                attention.out_proj.weight.data,
                attention.out_proj.bias.data,
                layer.layer_norm2.weight.data,
                layer.layer_norm2.bias.data,
                layer.mlp.fc1.weight.data,
                layer.mlp.fc1.bias.data,
                layer.mlp.fc2.weight.data,
                layer.mlp.fc2.bias.data,
            )
        )
    return blocks


def vision_norms(model: MolmoE) -> list[Weights]:
    """The first norm of each block of the vision encoder."""
    return [(layer.layer_norm1.weight.data, layer.layer_norm1.bias.data) for layer in model.vision.encoder.layers]


def projector_weights(projector: Projector) -> Weights:
    """For `pieces.project`."""
    return (
        projector.pad_embed.data,
        projector.wq.weight.data,
        projector.wq.bias.data,
        stack([projector.wk.weight, projector.wv.weight]),
        stack([projector.wk.bias, projector.wv.bias]),
        projector.wo.weight.data,
        projector.wo.bias.data,
        stack([projector.w1.weight, projector.w3.weight]),
        projector.w2.weight.data,
    )


def attention_weights(model: MolmoE) -> list[Weights]:
    """For `pieces.attend_prompt`, block by block: norm, qkv, norms of q and k, output projection."""
    blocks: list[Weights] = []
    for layer in model.llm.model.layers:
        attention = layer.self_attn
        blocks.append(
            (
                layer.input_layernorm.weight.data,
                stack([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]),
                attention.q_norm.weight.data,
                attention.k_norm.weight.data,
                attention.o_proj.weight.data,
            )
        )
    return blocks


def expert_weights(model: MolmoE) -> list[Weights]:
    """Norm, router, gate and up projections, down projections, block by block."""
    return [
        (
            layer.post_attention_layernorm.weight.data,
            layer.mlp.gate.weight.data,
            layer.mlp.experts.gate_up_proj.data,
            layer.mlp.experts.down_proj.data,
        )
        for layer in model.llm.model.layers
    ]


def rotary_tables(model: MolmoE) -> tuple[Tensor, Tensor]:
    """Cosines and sines of every position, (max_positions, head_size / 2), in float32."""
    positions = torch.arange(model.config.max_positions, device=model.device)
    angles = positions[:, None].float() * model.llm.model.rotary_emb.inv_freq.float()[None]
    return angles.cos(), angles.sin()
