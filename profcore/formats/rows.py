"""Rows of published result files: one table of fields and one loop for every kind of file.

Public field names are those of the published scripts (`T_LLM_prefill`, …), latencies in milliseconds. What this project
knows beyond them is written under its own column's name, so that a file read and written again says the same.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from profcore.errors import FormatError
from profcore.formats.common import plain
from profcore.images.geometry import grid_size
from profcore.spec.records import TELEMETRY
from profcore.spec.settings import parse_mask
from profcore.spec.text import some

if TYPE_CHECKING:
    from collections.abc import Callable

    from profcore.storage.spool import Record

# Published field -> this project's column.
STAGE_LATENCIES = {
    "T_vision_encoder": "vision_encoder_ms",
    "T_projector": "projector_ms",
    "T_LLM_prefill": "llm_prefill_ms",
    "T_LLM_decode": "llm_decode_ms",
    "T_total": "total_ms",
}
LATENCIES = {
    **STAGE_LATENCIES,
    "T_vision_total": "vision_total_ms",
    "T_data_processing": "processing_ms",
    "T_system_total": "system_total_ms",
}
FLOPS = {
    "flops_vision": "flops_vision_encoder",
    "flops_projector": "flops_projector",
    "flops_llm_prefill": "flops_llm_prefill",
    "flops_llm_decode": "flops_llm_decode",
    "flops_total": "flops_total",
}
COUNTS = {
    "num_crops": "num_crops",
    "num_vision_tokens": "num_vision_tokens",
    "num_output_tokens": "num_output_tokens",
}
# What only this project writes, under its own names.
_OWN_NUMBERS = ("elapsed_s", "step_issue_ms")
_OWN_COUNTS = ("round", "peak_memory_bytes")
_OWN_LISTS = ("decode_steps_ms", "issue_ms")
# Larger than any count of tokens, crops or blocks that a model has, and smaller than what a database holds.
_LARGEST_COUNT = 2**31 - 1
_LARGEST_SIDE = 1000


def read_rows(
    rows: list[dict[str, Any]],
    name: str,
    where: str,
    counts: dict[str, str],
    place: Callable[[int, dict[str, Any]], int],
) -> tuple[list[Record], int]:
    """The samples of some rows, and how many zeros among their latencies were missing values.

    Args:
        rows: As the file has them.
        name: What the file is called.
        where: What the file calls the list of rows.
        counts: Fields of counts and the columns they go to.
        place: The setting of a row, by its number and what it holds; raises ValueError where it says none.

    Raises:
        FormatError: Rows have no latency, or hold a value that cannot be; their numbers are said.
    """
    records: list[Record] = []
    wrong: list[int] = []
    zeros = 0
    for number, row in enumerate(rows, start=1):
        try:
            record = _read_row(row, counts)
            record["setting"] = place(number, row)
        except (TypeError, ValueError, OverflowError):
            wrong.append(number)
            continue
        zeros += drop_zeros(record)
        _drop_derived(record)
        # What is missing need not be written to be missing.
        known = {column: value for column, value in record.items() if value is not None}
        records.append({"type": "sample", "sample_id": number - 1, **known})
    if wrong:
        raise FormatError(
            f"{name}: rows {some(wrong)} of {where} have no latency, or a value that cannot be (a latency below 0, a "
            "count that is no whole number, a knob out of range)."
        )
    return records, zeros


def _read_row(row: dict[str, Any], counts: dict[str, str]) -> Record:
    """What a row says of one sample, by this project's columns.

    Raises:
        ValueError: It has no latency, or holds a value that cannot be.
        TypeError: A value is of another kind.
    """
    record: Record = {column: read_latency(row.get(field)) for field, column in LATENCIES.items()}
    if record["vision_total_ms"] is None:
        record["vision_total_ms"] = read_latency(row.get("T_vision"))
    if all(record[column] is None for column in LATENCIES.values()):
        raise ValueError("no latency")
    record |= {column: read_latency(row.get(field)) for field, column in FLOPS.items()}
    record |= {column: read_count(row.get(field)) for field, column in counts.items()}
    record |= {column: read_latency(row.get(column)) for column in _OWN_NUMBERS}
    record |= {column: read_count(row.get(column), 2**63 - 1) for column in _OWN_COUNTS}
    record |= {column: _read_list(row.get(column)) for column in _OWN_LISTS}
    record["other_ms"] = read_number(row.get("T_other"))
    telemetry = {field: read_number(row.get(field)) for field in TELEMETRY}
    if telemetry["throttle_reasons"] is not None:
        telemetry["throttle_reasons"] = read_count(row["throttle_reasons"], 2**63 - 1)
    record["telemetry"] = telemetry if any(value is not None for value in telemetry.values()) else None
    return record


def _drop_derived(record: Record) -> None:
    """Take out what both vision stages took together, where it is no more than their sum."""
    parts = record["vision_encoder_ms"], record["projector_ms"]
    both = record["vision_total_ms"]
    if both is not None and None not in parts and math.isclose(both, sum(parts), rel_tol=1e-9):
        record["vision_total_ms"] = None


def own_fields(row: dict[Any, Any]) -> dict[str, Any]:
    """What only this project says of a sample, as far as it is known."""
    fields = {column: plain(row.get(column)) for column in (*_OWN_COUNTS, *_OWN_NUMBERS, *TELEMETRY)}
    for column in _OWN_LISTS:
        values = row.get(column)
        # A missing list is None or, from a frame, NaN.
        fields[column] = None if values is None or isinstance(values, float) else [float(value) for value in values]
    return {column: value for column, value in fields.items() if value is not None}


# Settings

_KNOBS = {"top_k": "top_k", "num_active_blocks": "active_blocks", "max_new_tokens": "output_tokens"}


def read_setting(row: dict[str, Any]) -> dict[str, Any]:
    """The knobs that a row names, as a setting's columns; those that it does not name are missing.

    Raises:
        ValueError: One is out of range, or the block mask has another number of blocks.
        TypeError: One is of another kind.
    """
    found: dict[str, Any] = {}
    if row.get("grid") is not None:
        found["grid_rows"], found["grid_columns"] = read_grid(row["grid"])
    for field, column in (
        ("top_k", "top_k"),
        ("num_active_blocks", "active_blocks"),
        ("max_new_tokens", "output_tokens"),
    ):
        value = read_count(row.get(field))
        if value is not None and value < 1:
            raise ValueError(f"{field} below 1")
        if value is not None:
            found[column] = value
    mask = _read_mask(row)
    if mask is not None:
        found["block_mask"] = mask
        if found.setdefault("active_blocks", mask.count("1")) != mask.count("1"):
            raise ValueError("the block mask has another number of blocks")
    return found


def setting_fields(row: dict[Any, Any]) -> dict[str, Any]:
    """How files name the knobs of a setting, the block mask among them; null where one is not known."""
    mask = plain(row.get("block_mask")) or ""
    fields = {
        **grid_fields(row),
        "top_k": plain(row.get("top_k")),
        "num_active_blocks": plain(row.get("active_blocks")),
        "max_new_tokens": plain(row.get("output_tokens")),
    }
    if mask:
        fields["block_mask"] = mask
        fields["num_total_blocks"] = len(mask)
        fields["active_block_indices"] = [index for index, flag in enumerate(mask) if flag == "1"]
    return fields


def _read_mask(row: dict[str, Any]) -> str | None:
    if row.get("block_mask") is not None:
        text = row["block_mask"]
        if not isinstance(text, str) or len(text) > _LARGEST_SIDE or set(text) - {"0", "1"} or "1" not in text:
            raise ValueError("no block mask")
        return "".join("1" if active else "0" for active in parse_mask(text))
    active, total = row.get("active_block_indices"), read_count(row.get("num_total_blocks"))
    if active is None or total is None:
        return None
    chosen = {read_count(index) for index in active}
    if not chosen or None in chosen or not 1 <= total <= _LARGEST_SIDE or not chosen <= set(range(total)):
        raise ValueError("no active blocks")
    return "".join("1" if index in chosen else "0" for index in range(total))


def read_grid(value: Any) -> tuple[int, int]:
    """Rows and columns of a grid as files write it, '1×4' or '1x4'.

    Raises:
        ValueError: It is no grid, or has no crop.
    """
    if not isinstance(value, str):
        raise ValueError("no grid")
    rows, columns = (int(part) for part in value.replace("x", "×").split("×"))
    if not (1 <= rows <= _LARGEST_SIDE and 1 <= columns <= _LARGEST_SIDE):
        raise ValueError("a grid out of range")
    return rows, columns


def grid_fields(row: dict[Any, Any]) -> dict[str, Any]:
    """How published files name a grid: `grid` and `resolution`; null where it is not known."""
    if plain(row.get("grid_rows")) is None:
        return {"grid": None, "resolution": None}
    rows, columns = int(row["grid_rows"]), int(row["grid_columns"])
    width, height = grid_size(rows, columns)
    return {"grid": f"{rows}×{columns}", "resolution": f"{width}x{height}"}


# Values


def read_latency(value: Any) -> float | None:
    """A latency, or another number of 0 or more; None where it is missing.

    Raises:
        ValueError: It is no number of 0 or more.
    """
    number = read_number(value)
    if number is not None and number < 0:
        raise ValueError("below 0")
    return number


def read_number(value: Any) -> float | None:
    """A number, or None where it is missing.

    Raises:
        ValueError: It is none, or without end.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("no number")
    number = float(value)
    if not math.isfinite(number) or abs(number) > 1e300:
        raise ValueError("a number without end")
    return number


def read_count(value: Any, largest: int = _LARGEST_COUNT) -> int | None:
    """A number of things, or None where it is missing; digits as text and 8.0 are taken for the number.

    Raises:
        ValueError: It is no whole number of 0 or more, or too large.
    """
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        raise ValueError("no count")
    return value


def _read_list(values: Any) -> list[float] | None:
    if values is None:
        return None
    if not isinstance(values, list):
        raise ValueError("no list")
    found = [read_latency(value) for value in values]
    if any(value is None for value in found):
        raise ValueError("a value is missing")
    return [float(value) for value in found if value is not None]


def drop_zeros(record: Record) -> int:
    """Take latencies of exactly 0 out of a sample, and say how many there were.

    The published scripts got the projector, and in older files prefill and decode, by subtraction clamped at zero.
    So a zero there is a missing value, unless no decode step was asked for.
    """
    decodes = (record.get("num_output_tokens") or 2) > 1
    zeros = 0
    for column in ("projector_ms", "llm_prefill_ms", *(("llm_decode_ms",) if decodes else ())):
        if record.get(column) == 0:
            record[column] = None
            zeros += 1
    return zeros
