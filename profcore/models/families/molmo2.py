"""Molmo 2: crops that overlap and an overview, pooled two by two, a mark after each row of image tokens."""

from profcore.models.families.family import Family, Since

_DEFAULTS = {
    "image_patch_id": 151938,
    "image_start_token_id": 151936,
    "image_end_token_id": 151937,
    "image_processor": {"max_crops": 8, "overlap_margins": [4, 4], "pooling_size": [2, 2]},
    "vision_config": {"image_size": [378, 378], "patch_size": 14},
    "text_config": {
        "num_hidden_layers": 36,
        "max_position_embeddings": 36864,
        "vocab_size": 151936,
        "additional_vocab_size": 128,
    },
}
FAMILIES = (
    Family(
        "Molmo 2",
        "molmo2",
        "molmo2",
        "overlapping_crops",
        "half",
        _DEFAULTS,
        8,
        token_types=("mm_token_type_ids",),
        row_marks=1,
        since=Since("5.20.0", "there was no such model type"),
        projects_to=("adapter_config", "text_hidden_size"),
    ),
)
