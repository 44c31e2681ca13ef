"""The forward pass that a MolmoE is trained by: batched, with gradients, the same arithmetic as its three stages.

Several questions share a picture: each sees the picture and itself, at the places it would have alone.

Source: Deitke et al. 2024 (arXiv:2409.17146), multi-annotation training.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.models.olmoe.modeling_olmoe import apply_rotary_pos_emb

from profcore.images.processing import image_tokens, padding_masks
from profcore.models.pixels import crop_pixels

if TYPE_CHECKING:
    from profcore.models.config import MolmoConfig
    from profcore.models.molmoe import MolmoE
    from profcore.models.shapes.batches import Batch

# Attention kernels have at most 65535 rows of a batch and its heads, and each image token pools by itself.
_CROPS_AT_ONCE = 96
_PICTURE, _ASKED = ("places", "palettes"), ("texts", "last", "answers", "kinds", "things", "digits")


@dataclass(frozen=True)
class Knobs:
    """How far a forward pass is turned down, as tensors: what is captured once then serves every setting.

    Attributes:
        ranks: (most,), 1 for each of a token's experts, the likeliest first, that runs, and 0 for those after.
        blocks: (n_layers,), 1 for each block that runs.
    """

    ranks: Tensor
    blocks: Tensor

    @classmethod
    def of(cls, config: MolmoConfig, top_k: int, blocks: tuple[int, ...], device: torch.device) -> Knobs:
        """A top-k, which may be above the configuration's, and the blocks that are active."""
        ranks = [float(rank < top_k) for rank in range(max(top_k, config.top_k))]
        active = [float(block in blocks) for block in range(config.n_layers)]
        return cls(torch.tensor(ranks, device=device), torch.tensor(active, device=device))


@dataclass(frozen=True)
class OnHost:
    """A batch as tensors on the host, by its fields' names, from where they can be sent to the model's device."""

    tiling: tuple[int, int]
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class Tensors:
    """A batch on the model's device; fields as of `Batch`, pictures as pixels.

    Attributes:
        pixels: (B * crops, 3, 336, 336) in the model's type.
        masks: (B * crops, 576), what of each patch is picture and not padding.
    """

    tiling: tuple[int, int]
    pixels: Tensor
    masks: Tensor
    texts: Tensor
    last: Tensor
    answers: Tensor
    kinds: Tensor
    things: Tensor
    digits: Tensor


@dataclass(frozen=True)
class Output:
    """What the forward pass gives.

    Attributes:
        logits: (B, Q, 2, embedding_size), of the answer and of what follows it.
        image_tokens: (B, image tokens, d_model), as they are added to the embeddings.
        balance: What uneven routing costs, mean over blocks; 1 where all experts are used alike.
        router_z: The squared log of the router's normaliser, mean over blocks.
    """

    logits: Tensor
    image_tokens: Tensor
    balance: Tensor
    router_z: Tensor


def on_host(batch: Batch, device: torch.device) -> OnHost:
    """A batch ready for a device: of a card in pinned memory, so that the host goes on while it is copied."""
    held = {name: torch.from_numpy(getattr(batch, name)) for name in (*_PICTURE, *_ASKED)}
    if device.type == "cuda":
        held = {name: tensor.pin_memory() for name, tensor in held.items()}
    return OnHost(batch.tiling, held)


def to_device(batch: OnHost, device: torch.device, dtype: torch.dtype) -> Tensors:
    """A batch on a device, its pictures coloured, resized and cut there as `picture_pixels` does."""
    moved = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.tensors.items()}
    places, palettes = (moved[name] for name in _PICTURE)
    number, height, width = places.shape
    offsets = 256 * torch.arange(number, device=device, dtype=torch.int32)[:, None, None]
    values = palettes.reshape(-1, 3)[places.to(torch.int32) + offsets].permute(0, 3, 1, 2)
    pixels = crop_pixels(values.to(torch.float32).div_(255), *batch.tiling).flatten(0, 1).to(dtype)
    masks = _padding((height, width), batch.tiling, device).repeat(number, 1)
    return Tensors(batch.tiling, pixels, masks, **{name: moved[name] for name in _ASKED})


@dataclass(frozen=True)
class Layout:
    """What all prompts of one tiling have in common, on the model's device; L tokens in all.

    Attributes:
        prefix: What comes before the questions.
        taken: The places in it that image tokens are added to.
        order: For each of those, its row of the flattened projector output of a picture.
        positions: (L,), each token's place, as if its question were the only one.
        mask: (L, L), whether a token may look at another: at the picture, and at what came before of its own question.
    """

    prefix: Tensor
    taken: Tensor
    order: Tensor
    positions: Tensor
    mask: Tensor


@lru_cache(maxsize=64)
def _layout(config: MolmoConfig, tiling: tuple[int, int], questions: int, slot: int, device: torch.device) -> Layout:
    # Kept: to make it anew at each step would have the host wait for the card, and captured steps read it where it
    # lies. There are more places than tilings.
    tokens = image_tokens(*tiling, config.image_token_ids)
    index = tokens.patch_index.reshape(-1)
    begin = 1 + len(tokens.tokens)
    own = torch.arange(questions * slot)
    group = torch.cat([torch.full((begin,), -1), own // slot])
    order = torch.arange(begin + len(own))
    made = (
        torch.tensor([config.eos_token_id, *tokens.tokens.tolist()]),
        torch.from_numpy(np.sort(index[index >= 0]).astype(np.int64)) + 1,
        torch.from_numpy(np.argsort(index, kind="stable")[(index < 0).sum() :]),
        torch.cat([torch.arange(begin), begin + own % slot]),
        (order[:, None] >= order) & ((group == -1) | (group[:, None] == group)),
    )
    return Layout(*(each.to(device) for each in made))


@lru_cache(maxsize=64)
def _padding(size: tuple[int, int], tiling: tuple[int, int], device: torch.device) -> Tensor:
    return torch.from_numpy(padding_masks(*size, *tiling)).to(device)


def forward(model: MolmoE, batch: Tensors, knobs: Knobs) -> Output:
    """Logits where answers are expected, with the knobs turned so."""
    number, questions, slot = batch.texts.shape
    given = _layout(model.config, batch.tiling, questions, slot, batch.pixels.device)
    image = _image_tokens(model, batch, given)
    input_ids = torch.cat([given.prefix.expand(number, -1), batch.texts.reshape(number, -1)], dim=1)
    states = model.llm.model.embed_tokens(input_ids)
    states = states.index_add(1, given.taken, image.to(states.dtype))

    rotary = model.llm.model.rotary_emb(states, given.positions[None])
    balances, squares = [], []
    for layer, runs in zip(model.llm.model.layers, knobs.blocks.to(states.dtype), strict=True):
        states = states + runs * _attention(layer.self_attn, layer.input_layernorm(states), rotary, given.mask)
        added, balance, square = _experts(layer.mlp, layer.post_attention_layernorm(states), knobs.ranks)
        states = states + runs * added
        balances.append(balance)
        squares.append(square)
    places = len(given.prefix) + slot * torch.arange(questions, device=states.device) + batch.last
    places = torch.stack([places, places + 1], dim=-1).reshape(number, -1, 1).expand(-1, -1, states.shape[-1])
    asked = model.llm.model.norm(states.gather(1, places))
    logits = model.logits(asked).reshape(number, questions, 2, -1)
    shares = knobs.blocks / knobs.blocks.sum()
    return Output(logits, image, *((torch.stack(each) * shares).sum() for each in (balances, squares)))


def _image_tokens(model: MolmoE, batch: Tensors, given: Layout) -> Tensor:
    """What the vision encoder and the projector make of each picture, in the order of its prompt."""
    features = model.encode(batch.pixels)
    parts = zip(features.split(_CROPS_AT_ONCE), batch.masks.split(_CROPS_AT_ONCE), strict=True)
    projected = torch.cat([model.project(*part) for part in parts])
    return projected.reshape(batch.texts.shape[0], -1, model.config.d_model)[:, given.order]


def _attention(attention: Any, states: Tensor, rotary: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
    """OLMoE's attention with a mask; under autocast its norms give float32, which attention kernels do not take."""
    shape = (*states.shape[:2], -1, attention.head_dim)
    value = attention.v_proj(states)
    query, key = attention.q_norm(attention.q_proj(states)), attention.k_norm(attention.k_proj(states))
    query, key, value = (each.view(shape).transpose(1, 2) for each in (query, key, value))
    query, key = apply_rotary_pos_emb(query, key, *rotary)
    query, key = query.to(value.dtype), key.to(value.dtype)
    seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=attention.scaling)
    return attention.o_proj(seen.transpose(1, 2).flatten(2))


def _experts(mlp: Any, states: Tensor, ranks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The routed experts as one dense product, those not chosen weighted 0, and what routing costs.

    For experts as narrow as these that is less work than sorting tokens, and all of it is large products.

    Source: the balancing loss of Fedus et al. 2021 (arXiv:2101.03961), over the top-k as in OLMoE (arXiv:2409.02060).
    """
    experts = mlp.experts
    count, width = experts.num_experts, experts.intermediate_dim
    logits = F.linear(states, mlp.gate.weight)
    probabilities = logits.softmax(-1, dtype=torch.float32)
    weights, chosen = probabilities.topk(len(ranks), dim=-1)
    gates = torch.zeros_like(probabilities).scatter(-1, chosen, weights * ranks)
    hidden = F.linear(states, experts.gate_up_proj.flatten(0, 1)).unflatten(-1, (count, 2 * width))
    hidden = F.silu(hidden[..., :width]) * hidden[..., width:]
    hidden = (hidden * gates[..., None].to(hidden.dtype)).flatten(-2)
    added = F.linear(hidden, experts.down_proj.transpose(0, 1).flatten(1))
    used = (gates > 0).to(torch.float32).mean((0, 1)) / ranks.sum()
    balance = count * (used * probabilities.mean((0, 1))).sum()
    return added, balance, logits.to(torch.float32).logsumexp(-1).square().mean()
