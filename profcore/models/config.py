"""A Molmo model's shape: the presets, and reading a published `config.json`. Needs no torch."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from profcore.errors import ModelError
from profcore.models.shards import find_shards


@dataclass(frozen=True)
class MolmoConfig:
    """Shape of a MoE Molmo.

    Attributes:
        d_model: Width of the language model.
        n_layers: Number of transformer blocks.
        n_heads: Attention heads of each block, no grouping.
        num_experts: Experts of each block's feed-forward.
        top_k: Experts each token is routed to, unless the knob says otherwise.
        expert_width: Hidden width of one expert's SwiGLU.
        vocab_size: Token ids a tokenizer may give; the special image tokens follow.
        embedding_size: Rows of `wte.embedding` and of `lm_head`.
        additional_vocab_size: Rows of `wte.new_embedding`, stacked below.
        max_positions: Longest sequence, image tokens included.
        projector_hidden: Hidden width of the projector's SwiGLU.
        vit_layers: Which hidden states of the vision encoder are concatenated.

    Source: allenai/MolmoE-1B-0924, `config.json`.
    """

    d_model: int
    n_layers: int
    n_heads: int
    num_experts: int
    top_k: int
    expert_width: int
    vocab_size: int
    embedding_size: int
    additional_vocab_size: int
    max_positions: int
    rope_theta: float
    norm_eps: float
    vit_width: int
    vit_layers_total: int
    vit_heads: int
    vit_mlp: int
    vit_norm_eps: float
    vit_layers: tuple[int, ...]
    projector_hidden: int
    max_crops: int = 12

    @property
    def image_token_ids(self) -> dict[str, int]:
        """Ids of the special image tokens, which follow the vocabulary."""
        names = ("<im_start>", "<im_end>", "<im_patch>", "<im_col>", "<|image|>")
        return {name: self.vocab_size + offset for offset, name in enumerate(names)}

    @property
    def eos_token_id(self) -> int:
        """Id of `<|endoftext|>`, also put first as BOS."""
        return self.vocab_size - 1


PRESETS: dict[str, MolmoConfig] = {
    "molmoe-1b": MolmoConfig(
        d_model=2048,
        n_layers=16,
        n_heads=16,
        num_experts=64,
        top_k=8,
        expert_width=1024,
        vocab_size=50280,
        embedding_size=50304,
        additional_vocab_size=128,
        max_positions=4096,
        rope_theta=10000.0,
        norm_eps=1e-5,
        vit_width=1024,
        vit_layers_total=23,
        vit_heads=16,
        vit_mlp=4096,
        vit_norm_eps=1e-5,
        vit_layers=(-2, -9),
        projector_hidden=1024,
    ),
    # The same structure and the same range of every knob, small enough for a CPU.
    "tiny": MolmoConfig(
        d_model=64,
        n_layers=16,
        n_heads=4,
        num_experts=64,
        top_k=8,
        expert_width=16,
        vocab_size=480,
        embedding_size=512,
        additional_vocab_size=128,
        max_positions=4096,
        rope_theta=10000.0,
        norm_eps=1e-5,
        vit_width=32,
        vit_layers_total=11,
        vit_heads=2,
        vit_mlp=64,
        vit_norm_eps=1e-5,
        vit_layers=(-2, -9),
        projector_hidden=32,
    ),
}

# Fields that change the architecture, with the only value this project builds.
_REQUIRED: dict[str, Any] = {
    "activation_type": "swiglu",
    "block_type": "moe",
    "layer_norm_type": "rms",
    "image_pooling_2d": "attention-meanq",
    "image_pooling_h": 2,
    "image_pooling_w": 2,
    "image_padding_embed": "pad_and_partial_pad",
    "image_projector": "mlp",
    "attention_layer_norm": True,
    "rope": True,
    "weight_tying": False,
    "include_bias": False,
    "norm_after": False,
    "use_cls_feature": False,
    "moe_shared_expert": False,
}


def read_config(path: Path) -> MolmoConfig:
    """The shape that a published `config.json` describes.

    Raises:
        ModelError: The file is missing, no JSON, lacks a field, or describes another architecture.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path.parent} has no config.json: a checkpoint directory needs one.") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as JSON ({error}).") from None
    if not isinstance(raw, dict):
        raise ModelError(f"{path} holds no JSON object.")
    different = [
        f"{name}={raw[name]!r} (needs {value!r})"
        for name, value in _REQUIRED.items()
        if name in raw and raw[name] != value
    ]
    if different:
        raise ModelError(f"{path} describes a model this project does not build: {', '.join(different)}.")
    try:
        vision = raw["vision_backbone"]
        heads = int(raw["n_heads"])
        hidden = raw.get("mlp_hidden_size") or int(raw["d_model"] * raw["mlp_ratio"])
        config = MolmoConfig(
            d_model=int(raw["d_model"]),
            n_layers=int(raw["n_layers"]),
            n_heads=heads,
            num_experts=int(raw["moe_num_experts"]),
            top_k=int(raw["moe_top_k"]),
            expert_width=int(hidden) // 2,
            vocab_size=int(raw["vocab_size"]),
            embedding_size=int(raw.get("embedding_size") or raw["vocab_size"]),
            additional_vocab_size=int(raw["additional_vocab_size"]),
            max_positions=int(raw["max_position_embeddings"]),
            rope_theta=float(raw["rope_theta"]),
            norm_eps=float(raw["layer_norm_eps"]),
            vit_width=int(vision["image_emb_dim"]),
            vit_layers_total=int(vision["image_num_layers"]),
            vit_heads=int(vision["image_num_heads"]),
            vit_mlp=int(vision["image_mlp_dim"]),
            vit_norm_eps=float(vision["image_norm_eps"]),
            vit_layers=tuple(int(layer) for layer in raw["vit_layers"]),
            # The projector's hidden width is the language model's SwiGLU width: half of its fused hidden size.
            projector_hidden=int(hidden) // 2,
            max_crops=int(raw.get("max_crops", 12)),
        )
    except KeyError as error:
        raise ModelError(f"{path} lacks the field {error}: it is not a MolmoE configuration.") from None
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path} has a field of the wrong kind ({error}).") from None
    if raw.get("n_kv_heads") not in (None, heads):
        raise ModelError(f"{path} groups attention heads ({raw['n_kv_heads']} of {heads}), which is not supported.")
    if config.top_k > config.num_experts:
        raise ModelError(f"{path} routes to {config.top_k} of only {config.num_experts} experts.")
    return config


def find_config(model: str) -> MolmoConfig | None:
    """The shape of a preset or a checkpoint directory; None for a hub name, known only once fetched.

    Raises:
        ModelError: It is none of these; or as `read_config`.
    """
    if model in PRESETS:
        return PRESETS[model]
    directory = Path(model).expanduser()
    if directory.is_dir():
        return read_config(directory / "config.json")
    if directory.exists() or not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", model):
        raise ModelError(
            f"There is no model {model!r}: give {', '.join(PRESETS)}, a checkpoint directory or a hub name."
        )
    return None


def model_shape(model: str) -> MolmoConfig:
    """The shape of the model that a page offers knobs for; a hub model's is taken to be MolmoE-1B's.

    Raises:
        ModelError: There is no such model, or its checkpoint directory is incomplete.
    """
    if model in PRESETS:
        return PRESETS[model]
    config = find_config(model)
    if config is None:
        return PRESETS["molmoe-1b"]
    find_shards(Path(model).expanduser())
    return config
