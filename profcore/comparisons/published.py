"""What the published code measured."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from profcore.experiments.knobs import Experiment


_FILE = Path(__file__).with_name("published.json")

PUBLISHED = "published code"
"""How tables and charts call the published scripts, beside the engines."""


def published_samples(experiment: Experiment) -> pd.DataFrame:
    """What the published scripts measured at full shape, with the columns of `Store.samples` that are known."""
    return pd.DataFrame(_published()["experiments"][experiment.name])


def published_source() -> str:
    """What the published scripts were measured on, in a sentence."""
    return _published()["source"]


@cache
def _published() -> dict[str, Any]:
    return json.loads(_FILE.read_text(encoding="utf-8"))
