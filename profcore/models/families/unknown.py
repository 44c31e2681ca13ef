"""What is said of a model type that no family here takes: what transformers' own mapping and classes say, no guess.

Transformers is imported where it is asked alone, since it takes seconds and brings torch along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profcore.errors import ModelError
from profcore.models.config_fields import shown
from profcore.models.families.versions import installed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_SEEING = ("vision", "image")
"""Words in the name of a part that takes pictures."""


def refuse_type(name: str, config: Mapping[str, Any], families: Collection[str]) -> None:
    """Say why a configuration's type cannot be measured.

    Args:
        name: The model's.
        config: Its configuration, whose `model_type` is a text.
        families: The types that can be.

    Raises:
        ModelError: Always.
    """
    kind = shown(config["model_type"])
    known = f"belongs to no family that is known here: {', '.join(sorted(families))}."
    version = f"transformers {installed()}"
    try:
        parts = parts_of(config["model_type"])
    except ImportError:
        raise ModelError(f"{name}: the model type {kind} {known}") from None
    if parts is None and config.get("auto_map"):
        raise ModelError(
            f"{name} is a {kind}, built by code that comes with the checkpoint (auto_map): such code is never run, and "
            f"{version} has no model type {kind}. Give a model of a family that is known here: "
            f"{', '.join(sorted(families))}."
        )
    if parts is None:
        raise ModelError(f"{name}: {version} has no model type {kind}, and it {known}")
    if not (_is_of_pictures(config["model_type"]) or any(word in part for part in parts for word in _SEEING)):
        raise ModelError(
            f"{name} is a {kind}, whose configuration in {version} has no vision part beside a language model: "
            "give a vision-language model."
        )
    raise ModelError(f"{name}: {version} has the model type {kind}, but it {known}")


def parts_of(model_type: object) -> Collection[str] | None:
    """The parts that transformers' configuration of a type is made of; None where it has no such type.

    Raises:
        ImportError: No transformers is here.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING:
        return None
    return tuple(CONFIG_MAPPING[model_type].sub_configs)


def check_nested_types(name: str, config: Mapping[str, Any]) -> None:
    """Whether transformers has the types that a configuration gives its parts, and each is one of a part alone.

    Raises:
        ModelError: Not so.
        ImportError: No transformers is here.
    """
    for part, what in (("vision_config", "vision encoder"), ("text_config", "language model")):
        kind = (config.get(part) or {}).get("model_type")
        if kind is None:
            continue
        field, parts = f"{part}.model_type={shown(kind)}", parts_of(kind)
        if parts is None:
            raise ModelError(f"{name} has {field}: transformers {installed()} has no such model type.")
        if {"text_config", "vision_config"} & set(parts):
            raise ModelError(f"{name} has {field}, itself a model of several parts: give the type of a {what} alone.")


def _is_of_pictures(model_type: str) -> bool:
    """Whether transformers has it answer pictures with text, whatever its parts are called."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    return model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
