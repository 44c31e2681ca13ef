"""Values as published files write them: plain JSON, grids, masks, statistics blocks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from profcore.images.processing import grid_size
from profcore.spec.records import STAGE_PEAKS
from profcore.spec.text import counted

_COUNTS = (
    "round",
    "environment_number",
    "throttle_reasons",
    "other_processes",
    "memory_used_bytes",
    "peak_memory_bytes",
    *STAGE_PEAKS,
)
_STATES = (
    "sm_clock_mhz",
    "memory_clock_mhz",
    "temperature_c",
    "power_w",
    "others_utilisation_percent",
    "host_probe_us",
)
STATISTICS = ("P50", "P95", "P99", "mean", "std", "min", "max")


def plain(value: Any) -> Any:
    """A JSON value: None for a missing or endless one, else a Python number or text."""
    if type(value) is float:
        return value if math.isfinite(value) else None
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def whole_or_none(value: Any) -> int | None:
    """A whole number, which a frame with missing values may hold as a float."""
    known = plain(value)
    return None if known is None else int(known)


def plain_sum(*values: Any) -> float | None:
    """The sum of some values as a JSON value; None where one is missing."""
    known = [plain(value) for value in values]
    return None if None in known else sum(known)


def with_grid(row: dict[Any, Any]) -> dict[str, Any]:
    """How published files name a grid: `grid` and `resolution`; nothing where it is not known."""
    rows, columns = whole_or_none(row.get("grid_rows")), whole_or_none(row.get("grid_columns"))
    if rows is None or columns is None:
        return {"grid": None, "resolution": None}
    width, height = grid_size(rows, columns)
    return {"grid": f"{rows}×{columns}", "resolution": f"{width}x{height}"}


def mask_fields(row: dict[Any, Any]) -> dict[str, Any]:
    """How published files name the blocks that run: their number, and which they are of how many, where known."""
    mask = plain(row.get("block_mask"))
    fields: dict[str, Any] = {"num_active_blocks": whole_or_none(row.get("active_blocks"))}
    if mask:
        fields["num_total_blocks"] = len(mask)
        fields["active_block_indices"] = [block for block, active in enumerate(mask) if active == "1"]
    return fields


def tier_fields(row: dict[Any, Any]) -> dict[str, Any]:
    """How joint results name the range of crops of a setting; nothing where there is none.

    A bound alone is `max_crops`, as files had it before there were tiers.
    """
    least, most = (whole_or_none(row.get(name)) for name in ("least_crops", "most_crops"))
    tier = plain(row.get("tier"))
    return {
        "tier": tier,
        "tier_range": None if least is None or most is None else {"min_crops": least, "max_crops": most},
        "max_crops": most,
    }


def knob_fields(row: dict[Any, Any]) -> dict[str, Any]:
    """Every knob of a row, as published files name them; what is not known is left out."""
    fields = {
        **with_grid(row),
        "top_k": whole_or_none(row.get("top_k")),
        **mask_fields(row),
        "max_new_tokens": whole_or_none(row.get("output_tokens")),
    }
    return {name: value for name, value in fields.items() if value is not None}


def published_vision(row: dict[Any, Any]) -> float | None:
    """The vision encoder and projector together: as the file had it, else their sum."""
    given = plain(row.get("vision_total_ms"))
    return plain_sum(row["vision_encoder_ms"], row["projector_ms"]) if given is None else given


def measured_fields(row: dict[Any, Any]) -> dict[str, Any]:
    """What this project knows of a sample beyond the published fields; what is not known is left out."""
    fields: dict[str, Any] = {"sample_id": int(row["sample_id"]), "setting": int(row["setting"])}
    for name in ("decode_steps_ms", "issue_ms"):
        values = row.get(name)
        if isinstance(values, list | tuple | np.ndarray):
            fields[name] = [float(each) for each in values]
    for name in _COUNTS:
        fields[name] = whole_or_none(row.get(name))
    for name in ("elapsed_s", "step_issue_ms", "picture_reading_ms", *_STATES):
        fields[name] = plain(row.get(name))
    fields["T_other"] = plain(row.get("other_ms"))
    return {name: value for name, value in fields.items() if value is not None}


def published_block(values: pd.Series) -> dict[str, float | None]:
    """A statistics block as published result files have it, in milliseconds.

    Percentiles are written whatever the number of samples, since the format has them (see
    `metadata.unsupported_percentiles`); the standard deviation divides by n, as the published files' does. Without a
    value every statistic is missing.
    """
    array = values.dropna().to_numpy(dtype=float)
    if not array.size:
        return dict.fromkeys(STATISTICS)
    p50, p95, p99 = np.percentile(array, [50, 95, 99])
    found = (p50, p95, p99, array.mean(), array.std(), array.min(), array.max())
    return {name: plain(value) for name, value in zip(STATISTICS, found, strict=True)}


def zeros_note(zeros: int) -> str:
    """What to know of a file with such zeros; nothing where there are none."""
    if not zeros:
        return ""
    come, count = ("comes", "counts") if zeros == 1 else ("come", "count")
    return (
        f"{counted(zeros, 'latency', 'latencies')} of exactly 0 in this file {come} from the published subtraction, "
        f"clamped at zero, and {count} as missing."
    )
