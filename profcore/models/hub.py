"""The configuration of a model that a hub name means, before anything of its weights is fetched. Needs no torch."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from profcore.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = ("*.safetensors", "*.json")
"""What is fetched of a model: weights and JSON, never code nor pickles."""
_PATIENCE_S = 5.0
_RIGHT = "check the name and the network, or copy the model here and give its directory."


def cached_config(name: str) -> Path | None:
    """The configuration file of a hub name, where an earlier fetch left it; nothing is asked of any network."""
    return cached_file(name, "config.json")


def cached_file(name: str, file: str) -> Path | None:
    """A file of a hub name, where an earlier fetch left it; nothing is asked of any network."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, file)
    return Path(found) if isinstance(found, str) else None


def fetch_config(name: str) -> Path:
    """The configuration file of a hub name, fetched where it is not here yet.

    Raises:
        ModelError: It cannot be had.
    """
    from huggingface_hub import hf_hub_download

    return fetched(name, lambda here: Path(hf_hub_download(name, "config.json", local_files_only=here)))


def fetch_checkpoint(name: str) -> Path:
    """A hub checkpoint's local copy.

    Raises:
        ModelError: It cannot be had.
    """
    from huggingface_hub import snapshot_download

    files = list(FILES)
    return fetched(name, lambda here: Path(snapshot_download(name, allow_patterns=files, local_files_only=here)))


def fetched(name: str, fetch: Callable[[bool], Path]) -> Path:
    """What is fetched of a hub name; where the hub is not reached, what an earlier fetch left here.

    Args:
        name: The hub name.
        fetch: Fetches it; told whether from what is here alone.

    Raises:
        ModelError: It cannot be had; the sentence says why, and what to do.
    """
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    away = why_not_reached()
    try:
        return fetch(bool(away))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = away or _line(error)
        raise ModelError(
            f"{name!r} is no local directory and could not be fetched from the hub ({reason}): {_RIGHT}"
        ) from None


def why_not_reached() -> str:
    """Why the hub cannot be asked, in a few words; empty where it answers.

    Asked once, and not for long: the hub's own client tries again and again, for minutes with a whole checkpoint.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    found: list[str] = []
    # In a thread, since no timeout bounds how long a name is looked up.
    asking = threading.Thread(target=lambda: found.append(_ask()), daemon=True)
    asking.start()
    asking.join(_PATIENCE_S)
    return found[0] if found else f"no answer within {_PATIENCE_S:g} s"


def _ask() -> str:
    """As `why_not_reached`, however long it takes."""
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    try:
        # Any answer will do: what it says of a model is said when that is asked for.
        get_session().head(constants.ENDPOINT, timeout=_PATIENCE_S)
    except Exception as error:  # of whichever client this version of the hub's library has
        return f"{constants.ENDPOINT} is not reached: {_line(error)}"
    return ""


def _line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
