"""Named shapes at full size, each from a published configuration; no torch.

A file of `shapes/` holds one: where its numbers come from, how many billions of parameters its publisher names, the
configuration, and its parameters by part as `counting` counts them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from profcore.models.families import FAMILIES
from profcore.models.families.parameters import FamilyParameters
from profcore.models.families.shape import FamilyShape, shape_of

_FOLDER = Path(__file__).with_name("shapes")


@dataclass(frozen=True)
class Entry:
    """A named shape.

    Attributes:
        shape: The shape; `shape.source` says where its numbers come from.
        published_billions: Billions of parameters, as published.
        parameters: As counted.
    """

    shape: FamilyShape
    published_billions: float
    parameters: FamilyParameters


def _entry(path: Path) -> Entry | None:
    """What a file holds; None where no family here takes its model type."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if found["config"]["model_type"] not in FAMILIES:
        return None
    shape = shape_of(path.stem, found["config"], found["source"])
    return Entry(shape, found["published_billions"], FamilyParameters.from_dict(found["parameters"]))


_FOUND = {path.stem: _entry(path) for path in sorted(_FOLDER.glob("*.json"))}
ENTRIES: dict[str, Entry] = {name: entry for name, entry in _FOUND.items() if entry}
"""Every named shape, by its name."""
CATALOGUE: dict[str, FamilyShape] = {name: entry.shape for name, entry in ENTRIES.items()}
"""The shapes alone."""
