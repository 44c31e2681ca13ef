"""Parameters of each component by formula, from a model's shape alone; pure.

Source: the modules of transformers' CLIPVisionModel and OlmoeForCausalLM and of `models.molmoe.Projector`, which a test
counts one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from profcore.images.geometry import PATCH_VALUES, PATCHES_PER_CROP

if TYPE_CHECKING:
    from profcore.models.config import MolmoConfig


@dataclass(frozen=True)
class Parameters:
    """How many parameters a component has, and how many of them one token uses.

    Attributes:
        component: Its name.
        total: All of them.
        active: Without the experts that a token is not routed to.
    """

    component: str
    total: int
    active: int


def count_parameters(config: MolmoConfig, top_k: int | None = None) -> list[Parameters]:
    """Every component's parameters, from picture to logits.

    Args:
        config: The model's shape.
        top_k: Experts of each token; the model's own unless given.
    """
    top_k = config.top_k if top_k is None else top_k
    width, blocks = config.d_model, config.n_layers
    expert = 3 * width * config.expert_width
    norms = blocks * 4 * width + width
    embeddings = (config.embedding_size + config.additional_vocab_size) * width
    dense = {
        "Vision encoder": _vision_encoder(config),
        "Projector": _projector(config),
        "LLM embedding": embeddings,
        "LLM attention": blocks * 4 * width**2,
        "LLM router": blocks * width * config.num_experts,
    }
    found = [Parameters(name, number, number) for name, number in dense.items()]
    found.append(Parameters("LLM experts", blocks * config.num_experts * expert, blocks * top_k * expert))
    found += [
        Parameters("LLM norms", norms, norms),
        Parameters("LLM head", config.embedding_size * width, config.embedding_size * width),
    ]
    return found


def _vision_encoder(config: MolmoConfig) -> int:
    width, mlp = config.vit_width, config.vit_mlp
    attention, feed_forward, norms = 4 * (width**2 + width), 2 * width * mlp + mlp + width, 4 * width
    embeddings = width + PATCH_VALUES * width + (PATCHES_PER_CROP + 1) * width + 2 * width
    return embeddings + config.vit_layers_total * (attention + feed_forward + norms)


def _projector(config: MolmoConfig) -> int:
    width, features = config.vit_width, config.vit_width * len(config.vit_layers)
    pooling = 3 * (features * width + width) + width**2 + width
    hidden = config.projector_hidden
    return 2 * features + pooling + 2 * width * hidden + hidden * config.d_model
