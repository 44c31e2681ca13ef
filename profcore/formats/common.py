"""What the published formats share: records of an imported file, statistics blocks, plain values."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore.spec.records import now
from profcore.spec.runs import Sweep, sweep_settings
from profcore.stats import SMALLEST_FOR_P95, SMALLEST_FOR_P99
from profcore.storage.spool import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

STATISTICS = ("P50", "P95", "P99", "mean", "std", "min", "max")
_OF_SETTINGS = {
    "routing": {"prefill_experts": "prefill_experts"},
    "quality": {"kl": "kl", "accuracy": "accuracy", "quality_queries": "queries"},
    "quality_failed": {"quality_failed": "reason"},
    "setting_failed": {"failed": "reason"},
}
"""What a run's metadata says of its settings: the kinds of records, and the fields that each takes from there."""


@dataclass(frozen=True)
class ResultFile:
    """A result file as records of a spool.

    Attributes:
        run_id: Follows from the file's content, so that a file imported twice is one run.
        zeros: Zeros that are missing values by the published method (see `rows.drop_zeros`).
    """

    run_id: str
    records: list[Record]
    zeros: int


@dataclass(frozen=True)
class Origin:
    """What a file of this project says of the run that it was written from.

    Attributes:
        spec: The run's spec; None where there is none that this version reads.
        settings: The spec's settings, as the database keeps them.
        metadata: All that the file says.
    """

    spec: dict[str, Any] | None
    settings: list[dict[str, Any]]
    metadata: dict[str, Any]

    def setting(self, value: Any) -> int:
        """The setting that a row names by its number.

        Raises:
            ValueError: There is none of that number.
        """
        if type(value) is not int or not 0 <= value < len(self.settings):
            raise ValueError("no setting")
        return value


def read_origin(document: dict[str, Any], experiment: str) -> Origin:
    """Where a file is from; empty for a file of others, or of an experiment that is another one's."""
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        return Origin(None, [], {})
    spec = metadata.get("spec")
    try:
        sweep = Sweep.from_dict(spec["sweep"])  # type: ignore[index]
    except Exception:
        # Whatever is wrong with it, the rows can be read without.
        return Origin(None, [], metadata)
    if sweep.experiment != experiment:
        return Origin(None, [], metadata)
    return Origin(spec, sweep_settings(sweep), metadata)


def import_records(
    data: bytes,
    name: str,
    experiment: str,
    settings: list[dict[str, Any]],
    origin: Origin,
    details: dict[str, Any],
    rows: Iterable[Record],
) -> ResultFile:
    """The records that a result file becomes."""
    first: Record = {"type": "import", "name": Path(name).name, "created_at": now(), "experiment": experiment}
    records: list[Record] = [{**first, "settings": settings, "details": details}]
    if origin.spec:
        records[0]["spec"] = origin.spec
    environment, ceilings = origin.metadata.get("environment"), origin.metadata.get("ceilings")
    if isinstance(environment, dict) and environment:
        # Under a key of its own: a key of the environment is a key of the environment, also one called type.
        records.append({"type": "environment", "values": environment})
    if isinstance(ceilings, dict) and ceilings:
        records.append({**ceilings, "type": "ceilings"})
    if origin.spec:
        records += _of_settings(origin.metadata.get("settings"))
    records += rows
    return ResultFile(f"import-{hashlib.sha256(data).hexdigest()[:16]}", records, details.get("zeros", 0))


def _of_settings(described: Any) -> list[Record]:
    """What a run's metadata says of its settings, as records."""
    records: list[Record] = []
    for row in described if isinstance(described, list) else []:
        for kind, fields in _OF_SETTINGS.items():
            if isinstance(row, dict) and row.get(next(iter(fields))) is not None:
                values = {field: row.get(column) for column, field in fields.items()}
                records.append({"type": kind, "setting": row.get("setting"), **values})
    return records


def kept_details(origin: Origin) -> dict[str, Any]:
    """What an imported file had said beyond its rows, where the file was written from an imported run."""
    details = origin.metadata.get("details")
    return dict(details) if isinstance(details, dict) else {}


def zeros_note(zeros: int) -> str:
    """What to know of a file with such zeros; nothing where there are none."""
    if not zeros:
        return ""
    return (
        f"{zeros} {'latency' if zeros == 1 else 'latencies'} of exactly 0 in this file come from the published "
        "subtraction, clamped at zero, and count as missing."
    )


def plain(value: Any) -> Any:
    """A JSON value: None for a missing one, else a Python number."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    return value.item() if hasattr(value, "item") else value


def plain_sum(*values: Any) -> float | None:
    """The sum of some values as a JSON value; None where one is missing."""
    known = [plain(value) for value in values]
    return None if None in known else sum(known)


def published_block(values: pd.Series) -> dict[str, float | None]:
    """A statistics block as published result files have it, in milliseconds.

    Percentiles are written whatever the number of samples, since the format has them (see `too_few`); the standard
    deviation divides by n, as the published files' does. Without a value every statistic is missing.
    """
    array = values.dropna().to_numpy(dtype=float)
    if not array.size:
        return dict.fromkeys(STATISTICS)
    p50, p95, p99 = np.percentile(array, [50, 95, 99])
    return {
        "P50": float(p50),
        "P95": float(p95),
        "P99": float(p99),
        "mean": float(array.mean()),
        "std": float(array.std()),
        "min": float(array.min()),
        "max": float(array.max()),
    }


def too_few(sizes: list[int]) -> dict[str, Any]:
    """Which entries of a file's summary have fewer samples than a percentile needs, which `metadata` then says.

    Args:
        sizes: The number of samples of each entry.

    Returns:
        For each such percentile `needs` (samples) and `entries` (their places in the summary, from 0); else empty.
    """
    found = {}
    for percentile, needs in (("P95", SMALLEST_FOR_P95), ("P99", SMALLEST_FOR_P99)):
        entries = [place for place, size in enumerate(sizes) if size < needs]
        if entries:
            found[percentile] = {"needs": needs, "entries": entries}
    return {"percentiles_from_too_few_samples": found} if found else {}
