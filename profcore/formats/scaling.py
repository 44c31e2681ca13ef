"""The published FLOPs scaling JSON, in and out: statistics of a latency under each top-k."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from profcore.errors import FormatError
from profcore.formats.common import ResultFile, import_records, published_block, read_origin
from profcore.formats.rows import read_count, read_latency

if TYPE_CHECKING:
    import pandas as pd

    from profcore.storage.spool import Record

FILE = "flops_scaling_analysis.json"
_STATISTICS = {"median": "P50", "mean": "mean", "std": "std", "min": "min", "max": "max"}
_BLOCKS = {"prefill": "llm_prefill_ms", "decode": "llm_decode_ms", "total": "total_ms"}


def scaling_json(samples: pd.DataFrame, scaling: pd.DataFrame, metadata: dict[str, Any]) -> str:
    """A top-k sweep in the published FLOPs scaling format: the statistics of the total under each top-k.

    Args:
        samples: As `Store.samples`.
        scaling: As `scaling.flops_scaling`; an extra top-level key.
        metadata: Where the figures come from; an extra top-level key.
    """
    document: dict[str, Any] = {}
    for top_k, group in samples.groupby("top_k", sort=True):
        blocks = {name: _block(group[column]) for name, column in _BLOCKS.items()}
        document[str(top_k)] = {**blocks["total"], **blocks}
    document["scaling"] = json.loads(scaling.to_json(orient="records"))
    document["metadata"] = metadata
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def _block(values: pd.Series) -> dict[str, Any]:
    found = published_block(values)
    return {name: found[statistic] for name, statistic in _STATISTICS.items()}


def holds_scaling(document: Any) -> bool:
    """Whether a file is one of FLOPs scaling: an object with a statistics block under each of some numbers."""
    if not isinstance(document, dict):
        return False
    blocks = [value for key, value in document.items() if key.isdecimal()]
    return bool(blocks) and all(isinstance(block, dict) and {"mean", "median"} & block.keys() for block in blocks)


def read_scaling(document: dict[str, Any], data: bytes, name: str) -> ResultFile:
    """A FLOPs scaling file as a run of the top-k experiment that came as a summary.

    The published file does not say which latency it describes; it is taken for the total.

    Raises:
        FormatError: A block lacks its statistics or has one below 0.
    """
    keys = [key for key in document if key.isdecimal()]
    try:
        values = {key: read_count(key) for key in keys}
    except ValueError:
        values = {}
    if not values or not all(values.values()) or len(set(values.values())) != len(keys):
        raise FormatError(f"{name}: each block needs a top-k of its own, of 1 or more, as its key.")
    keys.sort(key=lambda key: values[key] or 0)
    records: list[Record] = []
    for setting, key in enumerate(keys):
        block = document[key]
        parts = {column: block[part] for part, column in _BLOCKS.items() if isinstance(block.get(part), dict)}
        for column, part in (parts or {"total_ms": block}).items():
            try:
                found = {ours: read_latency(part.get(theirs)) for theirs, ours in _STATISTICS.items()}
            except (TypeError, ValueError, OverflowError):
                raise FormatError(f"{name}: top-k {key} has a statistic that is no number of 0 or more.") from None
            if found["P50"] is None:
                found["P50"] = found["mean"]
            if found["P50"] is not None:
                records.append({"type": "summary", "setting": setting, "metric": column, **found})
    if not records:
        raise FormatError(f"{name} holds no statistic.")
    settings = [{"top_k": values[key]} for key in keys]
    # The run behind it has samples, which this file does not; so it stands for its statistics alone.
    origin = replace(read_origin(document, "moe_topk"), spec=None, settings=[])
    return import_records(data, name, "moe_topk", settings, origin, {"scaling": True}, records)
