"""Tiny random configurations of each family, for tests on a CPU."""

from __future__ import annotations

from typing import Any

_TEXT: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "pad_token_id": 0,
    "max_position_embeddings": 4096,
}
_MROPE = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
_GLM_ROPE = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2], "partial_rotary_factor": 0.5}
_EXPERTS = {"moe_intermediate_size": 32, "num_experts": 8, "num_experts_per_tok": 2}
_SIGLIP = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
_QWEN_IDS = {"image_token_id": 500, "video_token_id": 501, "vision_start_token_id": 502, "vision_end_token_id": 503}
_GLM_IDS = {
    "image_token_id": 500,
    "video_token_id": 501,
    "image_start_token_id": 502,
    "image_end_token_id": 503,
    "video_start_token_id": 504,
    "video_end_token_id": 505,
}
_QWEN3_VISION = {
    "depth": 3,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_heads": 4,
    "out_hidden_size": 64,
    "num_position_embeddings": 16,
    "deepstack_visual_indexes": [0, 1],
}
_GLM_VISION = {
    "depth": 2,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_heads": 4,
    "out_hidden_size": 64,
    "image_size": 56,
}
_QWEN_TEXT = {**_TEXT, "rope_parameters": _MROPE}
_GLM_TEXT = {**_TEXT, "rope_parameters": _GLM_ROPE}
_GLM_MOE = {
    "moe_intermediate_size": 32,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
}

TINY: dict[str, dict[str, Any]] = {
    "qwen3_vl_moe": {"text_config": {**_QWEN_TEXT, **_EXPERTS}, "vision_config": _QWEN3_VISION, **_QWEN_IDS},
    "qwen3_vl": {"text_config": _QWEN_TEXT, "vision_config": _QWEN3_VISION, **_QWEN_IDS},
    "qwen2_5_vl": {
        "text_config": _QWEN_TEXT,
        "vision_config": {
            "depth": 2,
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_heads": 4,
            "out_hidden_size": 64,
            "fullatt_block_indexes": [1],
        },
        **_QWEN_IDS,
    },
    "qwen2_vl": {
        "text_config": _QWEN_TEXT,
        "vision_config": {"depth": 2, "embed_dim": 64, "hidden_size": 64, "num_heads": 4, "mlp_ratio": 2},
        **_QWEN_IDS,
    },
    "glm4v": {"text_config": _GLM_TEXT, "vision_config": _GLM_VISION, **_GLM_IDS},
    "glm4v_moe": {"text_config": {**_GLM_TEXT, **_GLM_MOE}, "vision_config": _GLM_VISION, **_GLM_IDS},
    "ernie4_5_vl_moe": {
        "text_config": {
            **_TEXT,
            "moe_intermediate_size": [32, 32],
            "moe_num_experts": 8,
            "moe_k": 2,
            "mlp_layer_types": ["dense", "sparse", "sparse"],
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [3, 3, 2]},
        },
        "vision_config": {"depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 4},
        "image_token_id": 500,
        "video_token_id": 501,
        "image_start_token_id": 502,
        "image_end_token_id": 503,
        "video_start_token_id": 504,
        "video_end_token_id": 505,
    },
    "aria": {
        "text_config": {**_TEXT, "moe_num_experts": 8, "moe_topk": 2, "moe_num_shared_experts": 1},
        "vision_config": {"model_type": "idefics3_vision", **_SIGLIP, "image_size": 56, "patch_size": 14},
        "projector_patch_to_query_dict": {"16": 8},
    },
    "internvl": {
        "text_config": {"model_type": "qwen2", **_TEXT},
        "vision_config": {
            **_SIGLIP,
            "image_size": [56, 56],
            "patch_size": [14, 14],
        },
        "image_token_id": 500,
    },
    "idefics3": {
        "text_config": {"model_type": "llama", **_TEXT},
        "vision_config": {**_SIGLIP, "image_size": 56, "patch_size": 14},
        "image_token_id": 500,
        "scale_factor": 2,
    },
    "smolvlm": {
        "text_config": {"model_type": "llama", **_TEXT},
        "vision_config": {**_SIGLIP, "image_size": 56, "patch_size": 14},
        "image_token_id": 500,
        "scale_factor": 2,
    },
    "llava": {
        "text_config": {"model_type": "llama", **_TEXT},
        "vision_config": {"model_type": "clip_vision_model", **_SIGLIP, "image_size": 56, "patch_size": 14},
        "image_token_index": 500,
    },
    "llava_next": {
        "text_config": {"model_type": "llama", **_TEXT},
        "vision_config": {"model_type": "clip_vision_model", **_SIGLIP, "image_size": 56, "patch_size": 14},
        "image_token_index": 500,
        "image_grid_pinpoints": [[56, 112], [112, 56], [112, 112], [168, 56], [56, 168], [56, 56]],
    },
    "llava_onevision": {
        "text_config": {"model_type": "qwen2", **_TEXT},
        "vision_config": {"model_type": "siglip_vision_model", **_SIGLIP, "image_size": 56, "patch_size": 14},
        "image_token_index": 500,
        "image_grid_pinpoints": [[56 * rows, 56 * columns] for rows in (1, 2, 3) for columns in (1, 2, 3)],
    },
    "gemma3": {
        "text_config": {**_TEXT, "sliding_window": 32, "sliding_window_pattern": 3},
        "vision_config": {"model_type": "siglip_vision_model", **_SIGLIP, "image_size": 56, "patch_size": 14},
        "mm_tokens_per_image": 4,
        "image_token_index": 500,
        "boi_token_index": 501,
        "eoi_token_index": 502,
    },
    "mistral3": {
        "text_config": {"model_type": "mistral", **_TEXT},
        "vision_config": {
            "model_type": "pixtral",
            **_SIGLIP,
            "image_size": 1540,
            "patch_size": 14,
            "head_dim": 16,
        },
    },
    "gemma4": {
        "text_config": {
            **_TEXT,
            "global_head_dim": 16,
            "sliding_window": 32,
            "layer_types": ["sliding_attention", "full_attention", "full_attention"],
            "hidden_size_per_layer_input": 0,
            "vocab_size_per_layer_input": 512,
            "num_kv_shared_layers": 0,
            "enable_moe_block": True,
            "num_experts": 8,
            "top_k_experts": 2,
            "moe_intermediate_size": 32,
            "use_bidirectional_attention": "vision",
        },
        "vision_config": {**_SIGLIP, "num_key_value_heads": 2, "head_dim": 16, "global_head_dim": 16},
        "audio_config": None,
        "image_token_id": 500,
        "boi_token_id": 501,
        "eoi_token_id": 502,
        "video_token_id": 503,
    },
    "molmo2": {
        "text_config": {**_TEXT, "additional_vocab_size": 16},
        "vision_config": {
            **_SIGLIP,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "image_size": [168, 168],
            "patch_size": 14,
            "num_hidden_layers": 3,
        },
        "adapter_config": {
            "hidden_size": 32,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "intermediate_size": 64,
            "text_hidden_size": 64,
            "vision_feature_layer": [-1, -2],
        },
        "image_patch_id": 520,
        "image_start_token_id": 518,
        "image_end_token_id": 519,
    },
}
"""Fields of a configuration by model type; the rest is transformers' own."""


def tiny(model_type: str) -> dict[str, Any]:
    """A configuration as a `config.json` has it."""
    return {"model_type": model_type, **TINY[model_type]}
