"""The fields of a published `config.json`: what they must say for this project to build the model, and their numbers.

Source: allenai/molmo, what `modeling_molmo.py` and `preprocessing_molmo.py` read of the configuration.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from profcore.errors import ModelError
from profcore.paths import read_regular
from profcore.spec.limits import MOST_VALUES
from profcore.spec.text import parse_json

# Fields that change what is computed, with the values that this project builds; one that is absent is the default.
_LANGUAGE: dict[str, tuple[Any, ...]] = {
    "activation_type": ("swiglu",),
    "alibi": (False,),
    "attention_layer_norm": (True,),
    "attention_layer_norm_with_affine": (True,),
    "attn_logit_softcapping": (None,),
    "bias_for_layer_norm": (False, None),
    "block_group_size": (1,),
    "block_type": ("moe",),
    "clip_qkv": (None,),
    "final_logit_softcapping": (None,),
    "float32_attention": (True,),
    "include_bias": (False,),
    "layer_norm_type": ("rms",),
    "layer_norm_with_affine": (True,),
    "moe_interleave": (False,),
    "moe_shared_expert": (False,),
    "multi_query_attention": (False, None),
    "norm_after": (False,),
    "normalize_input_embeds": (False,),
    "qkv_bias": (False,),
    "rope": (True,),
    "rope_full_precision": (True,),
    "rope_impl": ("llama",),
    "scale_logits": (False,),
    "use_position_ids": (True,),
    "weight_tying": (False,),
}
_CONNECTOR: dict[str, tuple[Any, ...]] = {
    "image_padding_embed": ("pad_and_partial_pad",),
    "image_pooling_2d": ("attention-meanq",),
    "image_pooling_h": (2,),
    "image_pooling_w": (2,),
    "image_projector": ("mlp",),
    "use_cls_feature": (False,),
}
_PREPROCESSING: dict[str, tuple[Any, ...]] = {
    "always_start_with_space": (True,),
    "crop_mode": ("overlap-and-resize-c2",),
    "message_formatting": ("role",),
    "overlap_margins": ([4, 4],),
    "system_prompt_kind": ("demo_or_style",),
    "use_col_tokens": (True,),
}
_VISION: dict[str, tuple[Any, ...]] = {
    "image_default_input_size": ([336, 336],),
    "image_mlp_activations": ("quick_gelu",),
    "image_model_type": ("openai",),
    "image_num_pos": (577,),
    "image_patch_size": (14,),
    "image_pos_patch_size": (14,),
    "resize_mode": ("default",),
}
_LARGEST = 2**20
_LARGEST_CONFIG = 10_000_000


class Fields:
    """The fields of a configuration file, each read as the number it must be."""

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        """Fields of the object that `values` is, in the file at `path`."""
        self.path, self._values = path, values

    def __contains__(self, name: str) -> bool:
        """Whether a field is there and not null."""
        return self._values.get(name) is not None

    def get(self, name: str) -> Any:
        """A field as it is.

        Raises:
            ModelError: There is none.
        """
        if name not in self._values:
            raise ModelError(f"{self.path} lacks the field {name!r}: it is not a MolmoE configuration.")
        return self._values[name]

    def whole(self, name: str, least: int = 1, most: int = _LARGEST) -> int:
        """A whole number.

        Raises:
            ModelError: It is none, or out of range.
        """
        return whole_number(self.path, name, self.get(name), least, most)

    def number(self, name: str) -> float:
        """A number above 0.

        Raises:
            ModelError: It is none.
        """
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ModelError(f"{self.path} has {name}={shown(value)}, which is no number above 0.")
        return float(value)

    def inside(self, name: str) -> Fields:
        """The fields of an object that is a field.

        Raises:
            ModelError: It is no object.
        """
        value = self.get(name)
        if not isinstance(value, dict):
            raise ModelError(f"{self.path} has {name}={shown(value)}, which is no object.")
        return Fields(self.path, value)

    def unlike(self, needed: Mapping[str, tuple[Any, ...]]) -> list[str]:
        """The fields that have another value than one of those needed, with both."""
        return [
            f"{name}={shown(self._values[name])} (needs {allowed[0]!r})"
            for name, allowed in needed.items()
            if name in self._values and not any(_same(self._values[name], each) for each in allowed)
        ]


def whole_number(path: Path, name: str, value: Any, least: int, most: int) -> int:
    """A value as the whole number that a field must hold.

    Raises:
        ModelError: It is none, or out of range.
    """
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole or not least <= value <= most:
        raise ModelError(f"{path} has {name}={shown(value)}, which is no whole number from {least} to {most}.")
    return int(value)


def shown(value: Any) -> str:
    """A value of a file, short enough for a sentence."""
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _same(value: Any, needed: Any) -> bool:
    # True equals 1 in Python, but is no 1 in a file.
    return value == needed and isinstance(value, bool) == isinstance(needed, bool)


def read_fields(path: Path) -> Fields:
    """The fields of a configuration file of the architecture that this project builds.

    Raises:
        ModelError: The file is missing, no JSON object, or describes another architecture.
    """
    try:
        raw = parse_json(read_regular(path, _LARGEST_CONFIG), MOST_VALUES)
    except FileNotFoundError:
        raise ModelError(f"{path.parent} has no config.json: a checkpoint directory needs one.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{path} cannot be read as JSON ({reason}).") from None
    if not isinstance(raw, dict):
        raise ModelError(f"{path} holds no JSON object.")
    fields = Fields(path, raw)
    different = fields.unlike({**_LANGUAGE, **_CONNECTOR, **_PREPROCESSING})
    if "vision_backbone" in fields:
        different += fields.inside("vision_backbone").unlike(_VISION)
    if different:
        raise ModelError(f"{path} describes a model this project does not build: {', '.join(different)}.")
    return fields
