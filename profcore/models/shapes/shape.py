"""The small trained model's shape, as a configuration and as the published `config.json` says it. Needs no torch."""

from __future__ import annotations

from typing import Any

from profcore.models.config import MolmoConfig
from profcore.models.shapes.vocabulary import VOCABULARY

SHAPES_CONFIG = MolmoConfig(
    d_model=128,
    n_layers=8,
    n_heads=4,
    num_experts=16,
    top_k=8,
    expert_width=64,
    vocab_size=len(VOCABULARY) + 1,
    embedding_size=512,
    additional_vocab_size=128,
    max_positions=4096,
    rope_theta=10000.0,
    norm_eps=1e-5,
    vit_width=128,
    vit_layers_total=5,
    vit_heads=4,
    vit_mlp=384,
    vit_norm_eps=1e-5,
    vit_layers=(-1, -3),
    projector_hidden=64,
)
"""4.9 million parameters: under 10 MB in bfloat16."""

WHAT = (
    "A small MolmoE trained on drawn pictures, for showing quality beside latency; its latencies are not MolmoE-1B's."
)


def config_fields(config: MolmoConfig) -> dict[str, Any]:
    """The fields of a published `config.json` that says a shape (see `profcore.models.config.read_config`)."""
    if config.projector_hidden != config.expert_width:
        raise ValueError("the published configuration has one width for the projector's SwiGLU and the experts'")
    return {
        "model_type": "molmo",
        "architectures": ["OLMoForCausalLM"],
        "activation_type": "swiglu",
        "block_type": "moe",
        "layer_norm_type": "rms",
        "attention_layer_norm": True,
        "rope": True,
        "d_model": config.d_model,
        "n_layers": config.n_layers,
        "n_heads": config.n_heads,
        "moe_num_experts": config.num_experts,
        "moe_top_k": config.top_k,
        "mlp_hidden_size": 2 * config.expert_width,
        "vocab_size": config.vocab_size,
        "embedding_size": config.embedding_size,
        "additional_vocab_size": config.additional_vocab_size,
        "max_position_embeddings": config.max_positions,
        "rope_theta": config.rope_theta,
        "layer_norm_eps": config.norm_eps,
        "weight_tying": False,
        "max_crops": config.max_crops,
        "crop_mode": "overlap-and-resize-c2",
        "overlap_margins": [4, 4],
        "use_col_tokens": True,
        "always_start_with_space": True,
        "message_formatting": "role",
        "system_prompt_kind": "demo_or_style",
        "image_padding_embed": "pad_and_partial_pad",
        "image_pooling_2d": "attention-meanq",
        "image_pooling_h": 2,
        "image_pooling_w": 2,
        "image_projector": "mlp",
        "use_cls_feature": False,
        "vit_layers": list(config.vit_layers),
        "vision_backbone": {
            "image_model_type": "openai",
            "image_default_input_size": [336, 336],
            "image_patch_size": 14,
            "image_pos_patch_size": 14,
            "image_num_pos": 577,
            "image_emb_dim": config.vit_width,
            "image_num_layers": config.vit_layers_total,
            "image_num_heads": config.vit_heads,
            "image_num_key_value_heads": config.vit_heads,
            "image_head_dim": config.vit_width // config.vit_heads,
            "image_mlp_dim": config.vit_mlp,
            "image_mlp_activations": "quick_gelu",
            "image_norm_eps": config.vit_norm_eps,
            "resize_mode": "default",
        },
    }
