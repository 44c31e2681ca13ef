"""Aria: crops of 490 or 980 pixels, each of 128 or 256 queries; a grid of crops and an overview."""

from profcore.models.families.family import TILES, Family

_DEFAULTS = {
    "image_token_index": 9,
    "vision_config": {"image_size": 224, "patch_size": 32},
    "text_config": {
        "num_hidden_layers": 32,
        "max_position_embeddings": 2048,
        "vocab_size": 32000,
        "moe_num_experts": 8,
        "moe_topk": 2,
    },
    "max_value_projector_patch_to_query_dict": 256,
}
FAMILIES = (Family("Aria", "aria", TILES, "masked_tiles", "half", _DEFAULTS),)
