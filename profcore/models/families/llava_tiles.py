"""LLaVA-NeXT and LLaVA-OneVision: an overview and tiles of the best of some resolutions, with newlines between rows."""

from profcore.models.families.family import Family

_NEXT_SIZES = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
_NEXT = {
    "image_token_index": 32000,
    "image_grid_pinpoints": _NEXT_SIZES,
    "vision_config": {"image_size": 336, "patch_size": 14},
    "text_config": {"num_hidden_layers": 32, "max_position_embeddings": 2048, "vocab_size": 32000},
}
_ONE = {
    "image_token_index": 151646,
    "vision_aspect_ratio": "anyres_max_9",
    "image_grid_pinpoints": [[384 * rows, 384 * columns] for rows in range(1, 7) for columns in range(1, 7)],
    "vision_config": {"image_size": 384, "patch_size": 14},
    "text_config": {"num_hidden_layers": 32, "max_position_embeddings": 32768, "vocab_size": 151936},
}
FAMILIES = (
    Family("LLaVA-NeXT", "llava_next", "anyres", "any_resolution", "clip", _NEXT, most_units=3),
    Family("LLaVA-OneVision", "llava_onevision", "anyres", "any_resolution", "half", _ONE, most_units=6),
)
