"""The models that have a name of their own here; no torch."""

from __future__ import annotations

from profcore.models.config import PRESETS, SMALL_TRAINED
from profcore.models.families.catalogue import CATALOGUE

NAMED = (*PRESETS, SMALL_TRAINED, *CATALOGUE)
"""What `--model` takes besides a path or a hub name."""
