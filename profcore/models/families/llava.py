"""LLaVA and VipLLaVA: one picture of one size, always as many tokens."""

from profcore.models.families.family import Family

_DEFAULTS = {
    "image_token_index": 32000,
    "vision_feature_select_strategy": "default",
    "vision_config": {"image_size": 336, "patch_size": 14, "model_type": "clip_vision_model"},
    "text_config": {"num_hidden_layers": 32, "max_position_embeddings": 2048, "vocab_size": 32000},
}
FAMILIES = (Family("LLaVA", "llava", "fixed", "one_view", "clip", _DEFAULTS, most_units=1),)
