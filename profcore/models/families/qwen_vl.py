"""Qwen's vision-language models: a grid of patches of the picture's own shape, merged two by two."""

from profcore.models.families.family import Family

_IDS = {"image_token_id": 151655, "vision_start_token_id": 151652, "vision_end_token_id": 151653}
_VISION = {"spatial_merge_size": 2, "temporal_patch_size": 2, "in_channels": 3}


def _qwen(
    name: str, model_type: str, normal: str, patch: int, text: dict[str, int], width: str = "out_hidden_size"
) -> Family:
    limits = {"shortest_edge": 3136, "longest_edge": 1003520, "frames": 1}
    defaults = {
        **_IDS,
        "image_processor": limits,
        "vision_config": {**_VISION, "patch_size": patch},
        "text_config": text,
    }
    types, projects_to = ("mm_token_type_ids",), ("vision_config", width)
    return Family(
        name, model_type, "resize", "patch_grid", normal, defaults, token_types=types, projects_to=projects_to
    )


_OLD = {"num_hidden_layers": 80, "max_position_embeddings": 32768, "vocab_size": 152064}
_NEW = {"max_position_embeddings": 128000, "vocab_size": 151936}
_MOE = {"num_hidden_layers": 24, "num_local_experts": 60, "num_experts_per_tok": 4}
FAMILIES = (
    _qwen("Qwen3-VL-MoE", "qwen3_vl_moe", "half", 16, {**_NEW, **_MOE}),
    _qwen("Qwen3-VL", "qwen3_vl", "half", 16, {**_NEW, "num_hidden_layers": 32}),
    _qwen("Qwen2.5-VL", "qwen2_5_vl", "clip", 14, _OLD),
    _qwen("Qwen2-VL", "qwen2_vl", "clip", 14, _OLD, "hidden_size"),
)
