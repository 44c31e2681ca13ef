"""Idefics3 and SmolVLM: tiles and an overview, each with a tag in the prompt that says its place."""

from profcore.models.families.family import TILES, Family

_DEFAULTS = {
    "image_token_id": 128257,
    "scale_factor": 2,
    "vision_config": {"image_size": 224, "patch_size": 32},
    "text_config": {"num_hidden_layers": 32, "max_position_embeddings": 2048, "vocab_size": 32000},
}
FAMILIES = (
    Family("Idefics3", "idefics3", TILES, "padded_tiles", "half", _DEFAULTS, view_marks=2),
    Family("SmolVLM", "smolvlm", TILES, "padded_tiles", "half", _DEFAULTS, view_marks=2),
)
