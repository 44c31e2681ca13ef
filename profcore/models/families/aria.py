"""Aria: one view of 490 or 980 pixels, always of 128 or 256 queries."""

from profcore.models.families.family import Family, Since

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
    "projector_patch_to_query_dict": {"1225": 128, "4900": 256},
}
_SINCE = Since("5.18.0", "it ran its experts by other code than is counted here")
FAMILIES = (Family("Aria", "aria", "fixed", "masked_view", "half", _DEFAULTS, most_units=1, since=_SINCE),)
