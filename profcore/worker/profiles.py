"""Profiles of single settings: where they are kept, and what names them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.paths import SHIPPED
from profcore.worker.answers import read_answer

if TYPE_CHECKING:
    from profcore.spec.runs import Target


@dataclass(frozen=True)
class ProfileKey:
    """Which setting of which run was profiled on what; a profile may be made on another target than its run."""

    run_id: str
    setting: int
    target: Target

    @property
    def name(self) -> str:
        """A file name that follows from these."""
        text = json.dumps(self.target.to_dict(), sort_keys=True)
        return f"{self.run_id}-{self.setting}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def profile_path(directory: Path, key: ProfileKey) -> Path:
    """Where a profile is kept."""
    return directory / f"{key.name}.json"


def trace_path(directory: Path, key: ProfileKey) -> Path:
    """Where a profile's trace is kept."""
    return directory / f"{key.name}.trace.json.gz"


def find_profile(directory: Path, key: ProfileKey) -> dict[str, Any] | None:
    """A profile's answer (see `worker.answers`), made here or shipped with the sample results; None for neither."""
    return read_answer(profile_path(directory, key)) or read_answer(profile_path(SHIPPED / "profiles", key))
