"""The configuration of a model that a hub name means, before anything of its weights is fetched. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from profcore.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = ("*.safetensors", "*.json")
"""What is fetched of a model: weights and JSON, never code nor pickles."""


def cached_config(name: str) -> Path | None:
    """The configuration file of a hub name, where an earlier fetch left it; nothing is asked of any network."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json")
    return Path(found) if isinstance(found, str) else None


def fetch_config(name: str) -> Path:
    """The configuration file of a hub name, fetched where it is not here yet.

    Raises:
        ModelError: It cannot be had.
    """
    from huggingface_hub import hf_hub_download

    return fetched(name, lambda: Path(hf_hub_download(name, "config.json")))


def fetch_checkpoint(name: str) -> Path:
    """A hub checkpoint's local copy.

    Raises:
        ModelError: It cannot be had.
    """
    from huggingface_hub import snapshot_download

    return fetched(name, lambda: Path(snapshot_download(name, allow_patterns=list(FILES))))


def fetched(name: str, fetch: Callable[[], Path]) -> Path:
    """What is fetched of a hub name.

    Raises:
        ModelError: It cannot be had; the sentence says why.
    """
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return fetch()
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{name!r} is no local directory and could not be fetched from the hub ({reason}).") from None
