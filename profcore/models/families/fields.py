"""The fields of a configuration of transformers: read from files, filled with what they leave out. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from profcore.errors import ModelError
from profcore.models.config_fields import shown
from profcore.paths import read_regular
from profcore.spec.limits import MOST_VALUES
from profcore.spec.text import parse_json

MOST = 2**24
MOST_LAYERS, MOST_EXPERTS = 1024, 4096
"""Far beyond any model there is, and few enough to be built without memory and to be offered on a page."""
_LARGEST_CONFIG = 10_000_000
_PIXELS = ("min_pixels", "max_pixels", "shortest_edge", "longest_edge")
_LIMITS = (*_PIXELS, "min_patches", "max_patches", "max_soft_tokens", "max_crops", "overlap_margins", "pooling_size")
IMAGE_TOKEN_FIELDS = ("image_token_id", "image_token_index", "image_patch_id")
EXPERT_FIELDS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
TOP_K_FIELDS = ("num_experts_per_tok", "moe_k", "moe_topk", "top_k_experts")
"""The names that configurations have for the number of experts each token is routed to."""


def filled(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with defaults where it has nothing; fields of objects one by one."""
    found = dict(config)
    for key, value in defaults.items():
        if isinstance(value, Mapping):
            given = found.get(key)
            # Configurations of older versions have the language model's fields beside the vision encoder's.
            own = given if isinstance(given, Mapping) else (_beside(config) if key == "text_config" else {})
            found[key] = filled(own, value)
        elif all(found.get(name) is None for name in _names_of(key)):
            found[key] = value
    return found


def _beside(config: Mapping[str, Any]) -> dict[str, Any]:
    """The language model's fields where they stand beside the others: no part, and not the type of the whole."""
    whole_ones = ("model_type", "architectures", "auto_map", "transformers_version", "image_processor")
    return {name: value for name, value in config.items() if name not in whole_ones and not name.endswith("_config")}


def _names_of(key: str) -> tuple[str, ...]:
    """Every name of a field that has several."""
    return next((names for names in (EXPERT_FIELDS, TOP_K_FIELDS, IMAGE_TOKEN_FIELDS) if key in names), (key,))


def processor_limits(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What an image processor's configuration says of how pictures are cut, as the rules of families know it."""
    size, tile = (raw[name] if isinstance(raw.get(name), Mapping) else {} for name in ("size", "max_image_size"))
    given = {**raw, **size}
    limits = {name: given[name] for name in _LIMITS if given.get(name) is not None}
    longest, side = size.get("longest_edge"), tile.get("longest_edge")
    if isinstance(longest, int) and isinstance(side, int) and side > 0:
        # Of models whose tiles lie along the longest edge.
        limits["longest_edge_tiles"] = longest // side
    return limits


def read_raw(file: Path) -> dict[str, Any]:
    """The fields of a configuration file.

    Raises:
        ModelError: It cannot be read, or is no JSON object.
    """
    try:
        data = read_regular(file, _LARGEST_CONFIG)
        raw = parse_json(data, MOST_VALUES)
        if b"NaN" in data:
            # Read as nothing, it would become a default that nobody asked for.
            json.loads(data, parse_constant=_refuse_nan)
    except FileNotFoundError:
        raise ModelError(f"{file.parent} has no config.json: a checkpoint directory needs one.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{file} cannot be read as JSON ({reason}).") from None
    if not isinstance(raw, dict):
        raise ModelError(f"{file} holds no JSON object.")
    return raw


def _refuse_nan(name: str) -> float:
    if name == "NaN":
        raise ValueError("it holds NaN, which is no number")
    return float(name)


def whole(
    fields: Mapping[str, Any], names: tuple[str, ...], default: int | None = None, least: int = 1, most: int = MOST
) -> int:
    """The first of some fields that is there, as a whole number.

    Raises:
        ModelError: None is there and there is no default, or it is no whole number.
    """
    value = next((fields[name] for name in names if fields.get(name) is not None), default)
    if default is not None and value == default:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        beyond = isinstance(value, int) and value > most
        range_ = f"from {least} on" if most == MOST and not beyond else f"from {least} to {most}"
        raise ModelError(f"The configuration has {names[0]}={shown(value)}, which is no whole number {range_}.")
    return value
