"""GLM-4V and GLM-4V-MoE: patches as Qwen2-VL has them."""

from typing import Any

from profcore.models.families.family import Family

_VISION = {"patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "in_channels": 3}
# Frames are counted as a video has them, two a picture.
_LIMITS = {"shortest_edge": 12544, "longest_edge": 11760000, "frames": 2}
_ENDS = {
    "image_start_token_id": 151339,
    "image_end_token_id": 151340,
    "vision_config": _VISION,
    "image_processor": _LIMITS,
}
_TEXT = {"num_hidden_layers": 40, "max_position_embeddings": 32768, "vocab_size": 151552}
_MOE = {"num_hidden_layers": 46, "max_position_embeddings": 65536, "vocab_size": 151424}
_EXPERTS = {"n_routed_experts": 128, "num_experts_per_tok": 8}
_DENSE_DEFAULTS = {**_ENDS, "image_token_id": 151343, "text_config": _TEXT}
_MOE_DEFAULTS = {**_ENDS, "image_token_id": 151363, "text_config": {**_MOE, **_EXPERTS}}
_OWN: dict[str, Any] = {"token_types": ("mm_token_type_ids",), "projects_to": ("vision_config", "out_hidden_size")}
FAMILIES = (
    Family("GLM-4V", "glm4v", "resize", "patch_grid", "clip", _DENSE_DEFAULTS, **_OWN),
    Family("GLM-4V-MoE", "glm4v_moe", "resize", "patch_grid", "clip", _MOE_DEFAULTS, **_OWN),
)
