"""A spool as a frame of samples, with the columns that the store gives; for where there is no store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from profcore.spec import RunSpec, Sample
from profcore.spool import read_from

if TYPE_CHECKING:
    from pathlib import Path


def spool_samples(path: Path) -> pd.DataFrame:
    """A run's samples with their settings' knobs, in the order measured.

    Raises:
        FormatError: The file is no spool.
    """
    records = read_from(path).records
    settings = RunSpec.from_dict(records[0]).sweep.settings
    rows = []
    for record in records:
        if record["type"] == "sample":
            setting = settings[record["setting"]]
            rows.append(
                {
                    **{field: record.get(field) for field in Sample.__dataclass_fields__ if field != "telemetry"},
                    "grid_rows": setting.grid[0],
                    "grid_columns": setting.grid[1],
                    "top_k": setting.top_k,
                    "active_blocks": setting.active_blocks,
                    "block_mask": setting.mask_label,
                    "output_tokens": setting.output_tokens,
                }
            )
    return pd.DataFrame(rows)


def spool_environment(path: Path) -> dict:
    """What a spool's samples were measured on; empty where it does not say."""
    found = [record for record in read_from(path).records if record["type"] == "environment"]
    return {key: value for key, value in found[-1].items() if key != "type"} if found else {}
