"""Gemma 3: one picture of one size, always 256 tokens unless the configuration says otherwise."""

from profcore.models.families.family import Family

_DEFAULTS = {
    "image_token_index": 262144,
    "boi_token_index": 255999,
    "eoi_token_index": 256000,
    "mm_tokens_per_image": 256,
    "vision_config": {"image_size": 224, "patch_size": 16},
    "text_config": {"num_hidden_layers": 26, "max_position_embeddings": 131072, "vocab_size": 262208},
}
_TYPES = ("token_type_ids",)
FAMILIES = (Family("Gemma 3", "gemma3", "fixed", "one_view", "half", _DEFAULTS, most_units=1, token_types=_TYPES),)
