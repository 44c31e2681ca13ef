"""Mistral 3: Pixtral's grid of patches of the picture's own shape, a mark after each row."""

from profcore.models.families.family import Family

_DEFAULTS = {
    "image_token_index": 10,
    "spatial_merge_size": 2,
    "vision_config": {"image_size": 1540, "patch_size": 14},
    "text_config": {"num_hidden_layers": 40, "max_position_embeddings": 131072, "vocab_size": 131072},
}
# A side of 1540 pixels holds four units of 12 merged patches.
FAMILIES = (Family("Mistral 3", "mistral3", "pixtral", "sized_view", "clip", _DEFAULTS, most_units=4, row_marks=1),)
