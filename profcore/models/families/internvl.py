"""InternVL: up to 12 tiles and an overview, each of as many tokens."""

from profcore.models.families.family import Family

_DEFAULTS = {
    "image_processor": {"min_patches": 1, "max_patches": 12},
    "image_token_id": 151667,
    "downsample_ratio": 0.5,
    "vision_config": {"image_size": [448, 448], "patch_size": [14, 14]},
    "text_config": {"num_hidden_layers": 32, "max_position_embeddings": 32768, "vocab_size": 151936},
}
FAMILIES = (Family("InternVL", "internvl", "tiles", "tiles", "imagenet", _DEFAULTS),)
