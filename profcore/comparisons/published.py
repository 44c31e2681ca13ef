"""What the published code measured."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from profcore.comparisons.conditions import MACHINE, Conditions, Value
from profcore.spec.stages import Knob

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


def published_conditions(experiment: Experiment) -> Conditions:
    """What the published scripts were measured under, as far as their files say it.

    Source: the published scripts turn one knob of the whole model and leave the others: top-8, every block, 1×1 grids;
    `published_source` has the card and the types.
    """
    samples = published_samples(experiment)
    knobs: dict[Knob, frozenset[Value]] = {
        Knob.VISION_TOKENS: frozenset({Value((1, 1))}) if set(samples["num_vision_tokens"]) == {_SMALLEST} else _NONE,
        Knob.TOP_K: frozenset({Value((_TOP_K,))}),
        Knob.ACTIVE_BLOCKS: frozenset({Value((_BLOCKS,), "1" * _BLOCKS)}),
        Knob.OUTPUT_TOKENS: frozenset(Value((int(n),)) for n in samples["num_output_tokens"].dropna().unique()),
    }
    knobs[experiment.knob] = _NONE
    facts = {MACHINE["model"]: "molmoe-1b", MACHINE["weights"]: "random", MACHINE["engine"]: PUBLISHED}
    return Conditions(PUBLISHED, PUBLISHED, facts, knobs)


_NONE: frozenset[Value] = frozenset()
_SMALLEST, _TOP_K, _BLOCKS = 288, 8, 16
