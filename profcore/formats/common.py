"""What the published formats share: fields, and reading values that may be missing or wrong.

Public field names are those of the published scripts (`T_LLM_prefill`, …), latencies in milliseconds.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore.errors import FormatError
from profcore.images.geometry import grid_size
from profcore.spec.records import now
from profcore.spec.text import some
from profcore.storage.spool import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

# Published field -> this project's column.
LATENCIES = {
    "T_vision_encoder": "vision_encoder_ms",
    "T_projector": "projector_ms",
    "T_LLM_prefill": "llm_prefill_ms",
    "T_LLM_decode": "llm_decode_ms",
    "T_total": "total_ms",
}
STATISTICS = ("P50", "P95", "P99", "mean", "std", "min", "max")


@dataclass(frozen=True)
class Imported:
    """A result file as records of a spool.

    Attributes:
        run_id: Follows from the file's content, so that a file taken in twice is one run.
        zeros: Zeros that are missing values by the published method (see `drop_zeros`).
    """

    run_id: str
    records: list[Record]
    zeros: int


def import_records(
    data: bytes,
    name: str,
    experiment: str,
    settings: list[dict[str, Any]],
    metadata: Any,
    details: dict[str, Any],
    rows: Iterable[Record],
) -> Imported:
    """The records that a result file becomes."""
    first = {"type": "import", "name": Path(name).name, "created_at": now(), "experiment": experiment}
    records: list[Record] = [{**first, "settings": settings, "details": details}]
    environment = metadata.get("environment") if isinstance(metadata, dict) else None
    if isinstance(environment, dict):
        records.append({"type": "environment", **environment})
    records += rows
    return Imported(f"import-{hashlib.sha256(data).hexdigest()[:16]}", records, details.get("zeros", 0))


def read_latency(value: Any) -> float | None:
    """A latency in milliseconds, or None where it is missing.

    Raises:
        ValueError: It is no number of 0 or more.
        TypeError: It is no number at all.
    """
    if value is None:
        return None
    if isinstance(value, bool | str):
        raise ValueError(value)
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError(value)
    return number


def read_count(value: Any) -> int | None:
    """A number of things, or None where it is missing."""
    return None if value is None else int(value)


def read_grid(value: Any) -> tuple[int, int]:
    """Rows and columns of a grid as files write it, '1×4' or '1x4'."""
    rows, columns = (int(part) for part in str(value).replace("x", "×").split("×"))
    return rows, columns


def drop_zeros(record: Record) -> int:
    """Take latencies of exactly 0 out of a sample, and say how many there were.

    The published scripts got the projector, and in older files prefill and decode, by subtraction clamped at zero.
    So a zero there is a missing value, unless no decode step was asked for.
    """
    decodes = (record.get("num_output_tokens") or 2) > 1
    zeros = 0
    for column in ("projector_ms", "llm_prefill_ms", *(("llm_decode_ms",) if decodes else ())):
        if record[column] == 0:
            record[column] = None
            zeros += 1
    return zeros


def zeros_note(zeros: int) -> str:
    """What to know of a file with such zeros; nothing where there are none."""
    if not zeros:
        return ""
    return (
        f"{zeros} {'latency' if zeros == 1 else 'latencies'} of exactly 0 in this file come from the published "
        "subtraction, clamped at zero, and count as missing."
    )


def wrong_rows(name: str, rows: list[int], where: str) -> FormatError:
    """The error of rows without a latency, or with one that cannot be."""
    return FormatError(f"{name}: rows {some(rows)} of {where} have no latency, or one that is no number of 0 or more.")


def grid_fields(row: dict[Any, Any]) -> dict[str, Any]:
    """How published files name a grid: `grid` and `resolution`; nothing where it is not known."""
    if plain(row.get("grid_rows")) is None:
        return {"grid": None, "resolution": None}
    rows, columns = int(row["grid_rows"]), int(row["grid_columns"])
    width, height = grid_size(rows, columns)
    return {"grid": f"{rows}×{columns}", "resolution": f"{width}x{height}"}


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

    Percentiles are written whatever the number of samples, since the format has them; the standard deviation
    divides by n, as the published files' does. Without a value every statistic is missing.
    """
    array = values.dropna().to_numpy(dtype=float)
    if not array.size:
        return dict.fromkeys(("P50", "P95", "P99", "mean", "std", "min", "max"))
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
