"""Idefics3 and SmolVLM: tiles and an overview, each with a tag in the prompt that says its place."""

from profcore.models.families.family import Family

_DEFAULTS = {
    "image_processor": {"longest_edge_tiles": 4},
    "image_token_id": 128257,
    "scale_factor": 2,
    "vision_config": {"image_size": 224, "patch_size": 32},
    "text_config": {"num_hidden_layers": 32, "max_position_embeddings": 2048, "vocab_size": 32000},
}
FAMILIES = (
    Family("Idefics3", "idefics3", "idefics", "padded_tiles", "half", _DEFAULTS, view_marks=2),
    Family("SmolVLM", "smolvlm", "idefics", "padded_tiles", "half", _DEFAULTS, view_marks=2),
)
