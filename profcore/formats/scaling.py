"""The published FLOPs scaling JSON, in and out: statistics of a latency under each top-k."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from profcore.errors import FormatError
from profcore.formats.fields import BadValueError, at_least_one, latency
from profcore.formats.metadata import import_records, read_metadata
from profcore.formats.text_files import json_text
from profcore.formats.values import plain, published_block

if TYPE_CHECKING:
    import pandas as pd

    from profcore.formats.metadata import Imported
    from profcore.storage.lines import Record

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
    document["metadata"] = {"experiment": "moe_topk", **metadata}
    return json_text(document, indent=2)


def known_scaling_json(summaries: pd.DataFrame, metadata: dict[str, Any]) -> str:
    """FLOPs scaling that came as statistics alone, as it came.

    Args:
        summaries: As `Store.summaries`.
        metadata: Where the figures come from, with the `settings` that the summaries are of.
    """
    names = {column: name for name, column in _BLOCKS.items()}
    document: dict[str, Any] = {}
    for row in summaries.to_dict("records"):
        block = {name: plain(row[statistic.lower()]) for name, statistic in _STATISTICS.items()}
        entry = document.setdefault(str(metadata["settings"][int(row["setting"])]["top_k"]), {})
        entry[names[row["metric"]]] = block
    for entry in document.values():
        entry |= entry.get("total") or next(iter(entry.values()))
    document["metadata"] = {"experiment": "moe_topk", **metadata}
    return json_text(document, indent=2)


def _block(values: pd.Series) -> dict[str, Any]:
    found = published_block(values)
    return {name: found[statistic] for name, statistic in _STATISTICS.items()}


def holds_scaling(document: Any) -> bool:
    """Whether a file is one of FLOPs scaling: an object with a statistics block under each of some numbers."""
    if not isinstance(document, dict):
        return False
    blocks = [value for key, value in document.items() if key.isdecimal()]
    return bool(blocks) and all(isinstance(block, dict) and {"mean", "median"} & block.keys() for block in blocks)


def read_scaling(document: dict[str, Any], data: bytes, name: str) -> Imported:
    """A FLOPs scaling file as a run of the top-k experiment that came as a summary.

    The published file does not say which latency it describes; it is taken for the total.

    Raises:
        FormatError: A block lacks its statistics or has one below 0, or a top-k cannot be.
    """
    metadata = read_metadata(document, name)
    keys = [key for key in document if key.isdecimal()]
    try:
        numbers = {key: at_least_one("top-k", key) for key in keys}
    except BadValueError as error:
        raise FormatError(f"{name}: {error}.") from None
    if len(set(numbers.values())) < len(keys):
        raise FormatError(f"{name} has the same top-k twice.")
    records: list[Record] = []
    keys.sort(key=numbers.__getitem__)
    for setting, key in enumerate(keys):
        block = document[key]
        parts = {column: block[part] for part, column in _BLOCKS.items() if isinstance(block.get(part), dict)}
        # A stage without a latency, such as a decode without a second token, is written with nothing in it.
        known = {column: part for column, part in parts.items() if any(value is not None for value in part.values())}
        for column, part in (known or {"total_ms": block}).items():
            statistics = _read_block(part, f"{name}: top-k {key}")
            records.append({"type": "summary", "setting": setting, "metric": column, **statistics})
    settings = [{"top_k": numbers[key]} for key in keys]
    # What else a file of ours knows of its settings is of those that it lists; here each is one top-k.
    metadata.records[:] = [record for record in metadata.records if "setting" not in record]
    details = {**(metadata.details or {}), "scaling": True}
    return import_records(data, name, "moe_topk", settings, metadata, details, records)


def _read_block(block: dict[str, Any], where: str) -> Record:
    try:
        found = {
            ours: latency(theirs, block[theirs])
            for theirs, ours in _STATISTICS.items()
            if block.get(theirs) is not None
        }
    except BadValueError:
        raise FormatError(f"{where} has a statistic that is no number of 0 or more.") from None
    if "P50" not in found and "mean" not in found:
        raise FormatError(f"{where} has neither a median nor a mean.")
    return {"P50": found.get("mean"), **found}
