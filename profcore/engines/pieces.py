"""The model in pieces that torch.compile takes: functions of tensors, so that all blocks share one compilation.

A module compiled once per block would cost a compilation for each; a function that is given a block's weights is
compiled once, whatever the number of blocks. Weights come as tuples in the order that `weights.py` makes them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from profcore.images.geometry import CROP_PATCHES, CROP_TOKENS, PATCH, PATCHES_PER_TOKEN, POOL, TOKENS_PER_CROP

Weights = tuple[Tensor, ...]


def embed_patches(pixels: Tensor, weights: Weights, norm: Weights, eps: float) -> tuple[Tensor, Tensor]:
    """Patch embeddings with class token and positions, (crops, 577, vit_width), and the same under the first norm.

    The patch convolution is a matrix product, since its stride is its size.
    """
    patch, class_embedding, positions, gain, bias = weights
    crops, side = pixels.shape[0], CROP_PATCHES
    patches = pixels.view(crops, 3, side, PATCH, side, PATCH).permute(0, 2, 4, 1, 3, 5)
    embedded = functional.linear(patches.reshape(crops, side * side, -1), patch.flatten(1))
    states = torch.cat([class_embedding.expand(crops, 1, -1), embedded], dim=1) + positions
    states = functional.layer_norm(states, states.shape[-1:], gain, bias, eps)
    return states, functional.layer_norm(states, states.shape[-1:], norm[0], norm[1], eps)


def vision_block(
    states: Tensor, normed: Tensor, weights: Weights, next_norm: Weights, heads: int, eps: float
) -> tuple[Tensor, Tensor]:
    """A block of the vision encoder, (crops, 577, vit_width), and its output under the next block's first norm.

    A norm belongs to the piece before it, where it becomes one kernel with the residual's addition.
    """
    qkv, qkv_bias, out, out_bias, gain, bias, up, up_bias, down, down_bias = weights
    crops, tokens, width = states.shape
    mixed = functional.linear(normed, qkv, qkv_bias).view(crops, tokens, 3, heads, width // heads)
    query, key, value = mixed.permute(2, 0, 3, 1, 4).unbind(0)
    mixed = functional.scaled_dot_product_attention(query, key, value)
    states = states + functional.linear(mixed.transpose(1, 2).reshape(crops, tokens, width), out, out_bias)
    normed = functional.layer_norm(states, (width,), gain, bias, eps)
    hidden = functional.linear(normed, up, up_bias)
    states = states + functional.linear(hidden * torch.sigmoid(1.702 * hidden), down, down_bias)
    return states, functional.layer_norm(states, (width,), next_norm[0], next_norm[1], eps)


def project(features: Tensor, masks: Tensor, weights: Weights, heads: int) -> Tensor:
    """The projector (see `models.molmoe.Projector`): (crops, 144, d_model)."""
    pad, query_w, query_b, key_value_w, key_value_b, out_w, out_b, gate_up, down = weights
    padded = (masks == 0).to(features.dtype)
    partial = ((masks < 1) & (masks != 0)).to(features.dtype)
    features = features + padded[..., None] * pad[0] + partial[..., None] * pad[1]
    crops, half = features.shape[0], CROP_TOKENS
    windows = features.view(crops, half, POOL, half, POOL, -1).permute(0, 1, 3, 2, 4, 5)
    windows = windows.reshape(crops * TOKENS_PER_CROP, PATCHES_PER_TOKEN, -1)
    query = functional.linear(windows.mean(dim=1), query_w, query_b).view(-1, heads, 1, query_w.shape[0] // heads)
    key_value = functional.linear(windows, key_value_w, key_value_b).view(
        -1, PATCHES_PER_TOKEN, 2, heads, query.shape[-1]
    )
    key, value = key_value.permute(2, 0, 3, 1, 4).unbind(0)
    # Four keys are too few for an attention kernel; written out, it becomes one with its neighbours.
    scores = (query * key).sum(-1, dtype=torch.float32) * query.shape[-1] ** -0.5
    pooled = (scores.softmax(-1)[..., None] * value).sum(2).to(features.dtype)
    pooled = functional.linear(pooled.reshape(crops, TOKENS_PER_CROP, -1), out_w, out_b)
    gate, up = functional.linear(pooled, gate_up).chunk(2, dim=-1)
    return functional.linear(functional.silu(gate) * up, down)


def attend_prompt(
    states: Tensor, weights: Weights, rotary: tuple[Tensor, Tensor], keys: Tensor, values: Tensor, eps: float
) -> Tensor:
    """The attention half of a transformer block over a prompt, residual included; fills its cache.

    Shapes:
        states: (tokens, d_model); rotary: (tokens, head_size / 2) each; keys, values: (heads, tokens, head_size).
    """
    query, key, value = _query_key_value(states, weights, rotary, keys.shape[0], eps)
    keys.copy_(key)
    values.copy_(value)
    mixed = functional.scaled_dot_product_attention(query[None], key[None], value[None], is_causal=True)[0]
    return states + functional.linear(mixed.transpose(0, 1).reshape(states.shape), weights[4])


def attend_step(
    states: Tensor,
    weights: Weights,
    rotary: tuple[Tensor, Tensor],
    keys: Tensor,
    values: Tensor,
    position: Tensor,
    eps: float,
) -> Tensor:
    """The attention half of a transformer block for one token at `position`, residual included.

    Shapes:
        states: (1, d_model); rotary: (1, head_size / 2) each; keys, values: (heads, length, head_size).
    """
    query, key, value = _query_key_value(states, weights, rotary, keys.shape[0], eps)
    keys.index_copy_(1, position, key)
    values.index_copy_(1, position, value)
    mask = torch.arange(keys.shape[1], device=states.device)[None] <= position
    mixed = functional.scaled_dot_product_attention(query[None], keys[None], values[None], attn_mask=mask)[0]
    return states + functional.linear(mixed.transpose(0, 1).reshape(states.shape), weights[4])


def route(states: Tensor, gain: Tensor, router: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The states normalised, (tokens, d_model), and their router logits, (tokens, experts)."""
    normed = functional.rms_norm(states, states.shape[-1:], gain, eps)
    return normed, functional.linear(normed, router)


def next_logits(state: Tensor, gain: Tensor, head: Tensor, eps: float) -> Tensor:
    """Next-token logits of one state, (embedding_size,)."""
    return functional.linear(functional.rms_norm(state, state.shape[-1:], gain, eps), head)


def _query_key_value(
    states: Tensor, weights: Weights, rotary: tuple[Tensor, Tensor], heads: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    gain, qkv, query_gain, key_gain, _ = weights
    tokens, width = states.shape
    normed = functional.rms_norm(states, (width,), gain, eps)
    query, key, value = functional.linear(normed, qkv).view(tokens, 3, width).unbind(1)
    query = functional.rms_norm(query, (width,), query_gain, eps)
    key = functional.rms_norm(key, (width,), key_gain, eps)
    return _rotated(query, rotary, heads), _rotated(key, rotary, heads), value.view(tokens, heads, -1).transpose(0, 1)


def _rotated(states: Tensor, rotary: tuple[Tensor, Tensor], heads: int) -> Tensor:
    """Rotary embedding, halves rotated: (heads, tokens, head_size)."""
    first, second = states.view(states.shape[0], heads, -1).float().chunk(2, dim=-1)
    cosine, sine = rotary[0][:, None], rotary[1][:, None]
    rotated = torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
    return rotated.to(states.dtype).transpose(0, 1)
