"""What is known of a configuration before its numbers are read. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from profcore.errors import ModelError
from profcore.models.config_fields import shown
from profcore.models.families.fields import MOST
from profcore.models.families.parameters import ITEM_BYTES

NO_ENCODER = ("apertus1p5", "chameleon", "emu3", "fuyu", "gemma4_unified")
"""Model types that make tokens of pictures without an encoder."""
NO_ENCODER_RIGHT = "give a model with a vision encoder and a projector."
_SIZES = (
    *("hidden_size", "embed_dim", "out_hidden_size", "text_hidden_size", "head_dim", "moe_intermediate_size"),
    *("num_attention_heads", "num_key_value_heads", "num_heads", "in_channels", "num_channels"),
    *("temporal_patch_size", "spatial_merge_size", "num_position_embeddings"),
)
"""Fields of parts that size a tensor, so that nothing is built of one that is no number of things."""
_MAY_BE_NONE_OF = ("intermediate_size",)
"""Of these there may be none at all."""


def check_widths(name: str, where: tuple[str, str], gives: Any, takes: Any) -> None:
    """Whether the projector gives vectors as wide as those that the language model takes, where both are known.

    Args:
        name: The model's.
        where: Part and field of the configuration that say what it gives.
        gives: Numbers of a vector that the projector gives.
        takes: Of one that the language model takes.

    Raises:
        ModelError: They differ.
    """
    if isinstance(gives, int) and isinstance(takes, int) and gives != takes:
        raise ModelError(
            f"{name}: its projector does not fit its language model. It gives vectors of {gives} ({'.'.join(where)}), "
            f"and the language model takes those of {takes} (text_config.hidden_size): they must be equal."
        )


def check_image_token(name: str, image_token: int, rows: int) -> None:
    """Whether the token that stands where an image token goes is one of the vocabulary, since it is looked up in it.

    Args:
        name: The model's.
        image_token: Its id.
        rows: Of the table of embeddings.

    Raises:
        ModelError: It is none.
    """
    if image_token >= rows:
        raise ModelError(
            f"{name}: its image token is {image_token:,}, and its vocabulary has the ids below {rows:,}: give an "
            "image_token_id of those, or a larger vocab_size."
        )


def check_parts(name: str, config: Mapping[str, Any]) -> None:
    """Whether the parts' configurations are there, each an object, and of plain weights.

    Raises:
        ModelError: Not so.
    """
    described = any(field in config for field in ("vision_config", "text_config", "hidden_size"))
    if described and config.get("vision_config") is None:
        # Of a bare type every part is its class's own; beside a language model of another size its encoder is no part.
        raise ModelError(f"{name} has no vision_config, and so no image encoder to be measured: {NO_ENCODER_RIGHT}")
    for part in (*(name for name in config if name.endswith("_config")), "image_processor"):
        # Nothing but null leaves a part to its class: what is no object either is none that anybody asked for.
        if config.get(part) is not None and not isinstance(config[part], Mapping):
            raise ModelError(f"{name} has {part}={shown(config[part])}: it must be an object, the fields of that part.")
    if config.get("quantization_config"):
        raise ModelError(
            f"{name} has a quantization_config, and only weights of {', '.join(ITEM_BYTES)} are measured: "
            "give the model that it was made from."
        )


def check_sizes(name: str, config: Mapping[str, Any]) -> None:
    """Whether what sizes a tensor of a part is a number of things, and heads share out what they are to share.

    What is no whole number at all is left to the part's class, which says what it takes.

    Raises:
        ModelError: Not so, with the field.
    """
    for part, fields in config.items():
        if not part.endswith("_config") or not isinstance(fields, Mapping):
            continue
        for field in (*_SIZES, *_MAY_BE_NONE_OF):
            least, value = int(field not in _MAY_BE_NONE_OF), fields.get(field)
            if isinstance(value, int) and not isinstance(value, bool) and not least <= value <= MOST:
                raise ModelError(f"{name} has {part}.{field}={shown(value)}: it must be from {least} to {MOST:,}.")
        _check_shared(name, part, fields, "num_attention_heads", "num_key_value_heads")
        _check_shared(name, part, fields, "embed_dim" if "embed_dim" in fields else "hidden_size", "num_heads")


def _check_shared(name: str, part: str, fields: Mapping[str, Any], whole: str, among: str) -> None:
    """Whether one number of a part is a multiple of another, where both are given.

    Raises:
        ModelError: It is not.
    """
    shared, number = fields.get(whole), fields.get(among)
    if isinstance(shared, int) and isinstance(number, int) and shared % number:
        raise ModelError(
            f"{name} has {part}.{among}={number}, which do not share out {part}.{whole}={shared} evenly: "
            "the one must divide the other."
        )
