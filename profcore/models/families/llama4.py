"""Llama 4: tiles of 336 pixels and an overview, 144 tokens each."""

from profcore.models.families.family import Family

_DEFAULTS = {
    "downsample_ratio": 0.5,
    "image_processor": {"min_patches": 1, "max_patches": 16},
    "image_token_index": 200092,
    "boi_token_index": 200080,
    "eoi_token_index": 200081,
    "vision_config": {"image_size": 448, "patch_size": 14, "pixel_shuffle_ratio": 0.5},
    "text_config": {
        "num_hidden_layers": 48,
        "max_position_embeddings": 131072,
        "vocab_size": 202048,
        "num_local_experts": 16,
        "num_experts_per_tok": 1,
    },
}
_DENSE = "transformers computes every expert of Llama 4 for every token, so that a lower top-k saves no work."
_DEFECTS = {"5.24.0": "its forward reads a field that it does not have, image_outputs"}
FAMILIES = (Family("Llama 4", "llama4", "tiles", "tiles", "half", _DEFAULTS, defects=_DEFECTS, top_k_reason=_DENSE),)
