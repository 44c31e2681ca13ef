"""The devices that a machine was last seen to have, kept beside the spools: whoever asks need not wait for a worker."""

from __future__ import annotations

import json
import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from profcore.paths import read_regular
from profcore.storage.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_FILE = "devices.json"
_LARGEST_BYTES = 1_000_000


@dataclass(frozen=True)
class Seen:
    """The devices of this machine.

    Attributes:
        devices: GPUs first: `id`, `name`, `machine` and, where it is known, `memory_bytes` of each; of a machine that
            was never looked at, none.
        now: Whether a worker of this process has named them; else they are those that were there last.
    """

    devices: list[dict[str, Any]]
    now: bool


def remember(folder: Path, devices: Sequence[dict[str, Any]]) -> None:
    """Keep what a worker has named; where that cannot be written, the next process waits for its worker again."""
    text = json.dumps({"place": _place(), "devices": list(devices)})
    with suppress(OSError):
        write_whole(folder / _FILE, text.encode())


def remembered(folder: Path) -> list[dict[str, Any]]:
    """What was kept last, unless it is of another machine or of other cards of it; empty where there is nothing."""
    try:
        kept = json.loads(read_regular(folder / _FILE, _LARGEST_BYTES))
        devices = [
            {
                "id": str(each["id"]),
                "name": str(each["name"]),
                "machine": dict(each["machine"]),
                # Earlier versions did not keep it.
                **({"memory_bytes": int(each["memory_bytes"])} if each.get("memory_bytes") else {}),
            }
            for each in kept["devices"]
        ]
        return devices if kept["place"] == _place() else []
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def _place() -> list[str | None]:
    """This machine, and which of its cards a process may see."""
    return [platform.node(), os.environ.get("CUDA_VISIBLE_DEVICES")]
