"""ERNIE 4.5 VL: patches as Qwen2-VL has them, without a second frame; experts of their own for text and pictures."""

from profcore.models.families.family import Family

_TEXT = {"num_hidden_layers": 28, "max_position_embeddings": 131072, "vocab_size": 103424}
_EXPERTS = {"moe_num_experts": 64, "moe_k": 6}
_DEFAULTS = {
    "image_processor": {"shortest_edge": 3136, "longest_edge": 4842768, "frames": 1},
    "image_token_id": 100295,
    "image_start_token_id": 101304,
    "image_end_token_id": 101305,
    "vision_config": {"patch_size": 14, "spatial_merge_size": 2, "in_channels": 3},
    "text_config": {**_TEXT, **_EXPERTS},
}
_TYPES = ("mm_token_type_ids", "moe_mm_token_type_ids")
FAMILIES = (
    Family("ERNIE-4.5-VL-MoE", "ernie4_5_vl_moe", "resize", "patch_grid", "clip", _DEFAULTS, token_types=_TYPES),
)
