"""Gemma 4: patches of the picture's own shape, as many as fill a budget of soft tokens, pooled three by three."""

from profcore.models.families.family import Family

_DEFAULTS = {
    "image_token_id": 258880,
    "boi_token_id": 255999,
    "eoi_token_id": 258882,
    "image_processor": {"max_soft_tokens": 280},
    "vision_config": {"patch_size": 16, "pooling_kernel_size": 3},
    "text_config": {"num_hidden_layers": 30, "max_position_embeddings": 131072, "vocab_size": 262144},
}
FAMILIES = (
    Family("Gemma 4", "gemma4", "soft", "soft_patches", "bytes", _DEFAULTS, 8, token_types=("mm_token_type_ids",)),
)
