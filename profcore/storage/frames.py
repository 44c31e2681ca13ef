"""A spool as a frame of samples, with the columns that the store gives; for where there is no store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from profcore.spec.records import Sample
from profcore.spec.runs import RunSpec, sweep_settings
from profcore.storage.spool import read_from

if TYPE_CHECKING:
    from pathlib import Path


def spool_samples(path: Path) -> pd.DataFrame:
    """A run's samples with their settings' knobs, in the order measured.

    Raises:
        FormatError: The file is no spool.
    """
    records = read_from(path).records
    settings = sweep_settings(RunSpec.from_dict(records[0]).sweep)
    rows = []
    for record in records:
        if record["type"] == "sample":
            rows.append(
                {
                    **{field: record.get(field) for field in Sample.__dataclass_fields__ if field != "telemetry"},
                    **settings[record["setting"]],
                }
            )
    return pd.DataFrame(rows)


def spool_environment(path: Path) -> dict:
    """What a spool's samples were measured on; empty where it does not say."""
    found = [record for record in read_from(path).records if record["type"] == "environment"]
    return {key: value for key, value in found[-1].items() if key != "type"} if found else {}


def spool_routing(path: Path) -> dict[int, list[int]]:
    """For each top-k the distinct experts that its prompt used in each block, as far as a spool says it."""
    records = read_from(path).records
    settings = RunSpec.from_dict(records[0]).sweep.settings
    return {
        settings[record["setting"]].top_k: record["prefill_experts"]
        for record in records
        if record["type"] == "routing"
    }
