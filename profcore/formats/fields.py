"""The fields of result files, and what each may hold: one table for reading rows and settings of every format.

A field that is absent or null is not known. Anything else that a field cannot hold is refused, never rounded, cut or
guessed at: who quotes a figure must be able to trust that it is the file's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from profcore.spec.records import STAGE_PEAKS

_MOST_COUNT = 2**31 - 1
_MOST_GRID = 1000
_MOST_BLOCKS = 10_000
# About 30,000 years: beyond lies no latency, and squares of what is below can still be added up.
_MOST_MS = 1e15
_MOST_FLOPS = 1e60
_LONGEST_SHOWN = 40


class BadValueError(ValueError):
    """A field holds what it cannot; the message names the field and says what would be right."""


Read = Callable[[str, Any], Any]


class Field(NamedTuple):
    """A field of a row.

    Attributes:
        field: What files call it.
        column: This project's column.
        read: Takes its name and value, which is not null; raises BadValueError.
    """

    field: str
    column: str
    read: Read


def shown(value: Any) -> str:
    """A value as a sentence can hold it."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def whole(least: int = 0, most: int = _MOST_COUNT) -> Read:
    """Reads a whole number in a range; one written as text or as 8.0 is that number."""

    def read(field: str, value: Any) -> int:
        # What nearly all are: a full campaign has millions.
        if type(value) is int and least <= value <= most:
            return value
        written = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 20
        number = int(value) if written or (isinstance(value, float) and value.is_integer()) else value
        if type(number) is not int or not least <= number <= most:
            raise BadValueError(f"{field} {shown(value)} is no whole number of {least:,} to {most:,}")
        return number

    return read


def number(most: float, least: float = 0.0) -> Read:
    """Reads a number in a range."""

    def read(field: str, value: Any) -> float:
        if type(value) is float and least <= value < most:
            return value
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < most:
            raise BadValueError(f"{field} {shown(value)} is no number of {f'{least:g}'} or more that can be")
        return float(value)

    return read


latency = number(_MOST_MS)
count = whole()
at_least_one = whole(1)


def latencies(field: str, value: Any) -> list[float]:
    """Reads a list of latencies."""
    if not isinstance(value, list):
        raise BadValueError(f"{field} {shown(value)} is no list")
    return [latency(f"a value of {field}", each) for each in value]


def grid(field: str, value: Any) -> tuple[int, int]:
    """Reads rows and columns of a grid as files write it, '1×4' or '1x4'."""
    parts = value.replace("x", "×").split("×") if isinstance(value, str) else []
    if len(parts) != 2 or not all(part.isascii() and part.isdecimal() and len(part) < 5 for part in parts):
        raise BadValueError(f"{field} {shown(value)} is no grid such as '1×4'")
    rows, columns = (int(part) for part in parts)
    if not (1 <= rows <= _MOST_GRID and 1 <= columns <= _MOST_GRID):
        raise BadValueError(f"{field} {shown(value)} is no grid of 1×1 to {_MOST_GRID}×{_MOST_GRID}")
    return rows, columns


def size(field: str, value: Any) -> tuple[int, int]:
    """Reads width and height, a list of two."""
    if not isinstance(value, list) or len(value) != 2:
        raise BadValueError(f"{field} {shown(value)} is no list of width and height")
    width, height = (at_least_one(f"a value of {field}", each) for each in value)
    return width, height


def identifier(field: str, value: Any) -> str:
    """Reads an id, a text or a number, as text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadValueError(f"{field} {shown(value)} is neither a text nor a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadValueError(f"{field} {shown(value)} is no number that can be")
    return str(value)


# Published field -> this project's column.
LATENCIES = {
    "T_vision_encoder": "vision_encoder_ms",
    "T_projector": "projector_ms",
    "T_LLM_prefill": "llm_prefill_ms",
    "T_LLM_decode": "llm_decode_ms",
    "T_total": "total_ms",
}
MORE_LATENCIES = {
    "T_vision_total": "vision_total_ms",
    "T_data_processing": "host_preprocessing_ms",
    "T_system_total": "system_total_ms",
}
FLOPS = {
    "flops_vision": "flops_vision_encoder",
    "flops_projector": "flops_projector",
    "flops_llm_prefill": "flops_llm_prefill",
    "flops_llm_decode": "flops_llm_decode",
    "flops_total": "flops_total",
}
# What the two formats call the prompt's length.
PROFILING_PROMPT, MOTIVATION_PROMPT = "num_input_text_tokens", "num_language_tokens"

ROW = (
    *(Field(field, column, latency) for field, column in {**LATENCIES, **MORE_LATENCIES}.items()),
    *(Field(field, column, number(_MOST_FLOPS)) for field, column in FLOPS.items()),
    Field("T_first_token", "first_token_ms", latency),
    Field("T_other", "other_ms", number(_MOST_MS, -_MOST_MS)),
    Field("num_crops", "num_crops", count),
    Field("num_vision_tokens", "num_vision_tokens", count),
    Field(PROFILING_PROMPT, "num_input_tokens", count),
    Field(MOTIVATION_PROMPT, "num_input_tokens", count),
    Field("num_output_tokens", "num_output_tokens", at_least_one),
    Field("decode_steps_ms", "decode_steps_ms", latencies),
    Field("round", "round", count),
    Field("environment_number", "environment_number", count),
    Field("elapsed_s", "elapsed_s", latency),
)
"""What a row may say of its sample."""

MEASURED = (
    Field("issue_ms", "issue_ms", latencies),
    Field("step_issue_ms", "step_issue_ms", latency),
    Field("picture_reading_ms", "picture_reading_ms", latency),
    *(Field(name, name, whole(most=2**63 - 1)) for name in ("peak_memory_bytes", *STAGE_PEAKS)),
)
"""What only this project's rows say of a sample, besides telemetry."""

TELEMETRY_FIELDS = (
    Field("sm_clock_mhz", "sm_clock_mhz", latency),
    Field("temperature_c", "temperature_c", number(1e4, -1e4)),
    Field("power_w", "power_w", latency),
    Field("throttle_reasons", "throttle_reasons", whole(most=2**63 - 1)),
    Field("memory_clock_mhz", "memory_clock_mhz", latency),
    Field("memory_used_bytes", "memory_used_bytes", whole(most=2**63 - 1)),
    Field("other_processes", "other_processes", count),
    Field("others_utilisation_percent", "others_utilisation_percent", latency),
    Field("host_probe_us", "host_probe_us", latency),
)

_KNOBS = (
    Field("top_k", "top_k", at_least_one),
    Field("num_active_blocks", "active_blocks", at_least_one),
    Field("max_new_tokens", "output_tokens", at_least_one),
    Field("image_id", "image_id", identifier),
    Field("query_id", "query_id", identifier),
)


def read_fields(row: dict[str, Any], fields: tuple[Field, ...]) -> dict[str, Any]:
    """What is known of some fields, by their columns.

    Raises:
        BadValueError: One holds what it cannot.
    """
    found = {each.column: each.read(each.field, row[each.field]) for each in fields if row.get(each.field) is not None}
    return found


def read_knobs(row: dict[str, Any]) -> dict[str, Any]:
    """What a row says of its setting: knobs and query, by their columns.

    Raises:
        BadValueError: A field holds what it cannot, or the block mask is not as its number says.
    """
    setting = read_fields(row, _KNOBS)
    if row.get("grid") is not None:
        setting["grid_rows"], setting["grid_columns"] = grid("grid", row["grid"])
    if row.get("image_size") is not None:
        setting["image_width"], setting["image_height"] = size("image_size", row["image_size"])
    if row.get("active_block_indices") is not None:
        mask = _mask(row["active_block_indices"], row.get("num_total_blocks"))
        if setting.setdefault("active_blocks", mask.count("1")) != mask.count("1"):
            raise BadValueError(f"num_active_blocks {setting['active_blocks']} is not the length of its indices")
        setting["block_mask"] = mask
    return setting


_TIER = (Field("tier", "tier", identifier), Field("max_crops", "most_crops", at_least_one))


def read_tier(row: dict[str, Any]) -> dict[str, Any]:
    """What a row of joint results says of the crops that its picture may have, by its columns.

    Raises:
        BadValueError: A field holds what it cannot.
    """
    setting = read_fields(row, _TIER)
    if row.get("tier_range") is not None:
        setting["least_crops"], setting["most_crops"] = _crops_range(row["tier_range"])
    return setting


def _crops_range(value: Any) -> tuple[int, int]:
    """Reads the fewest and the most crops of a tier."""
    if not isinstance(value, dict):
        raise BadValueError(f"tier_range {shown(value)} is no object of min_crops and max_crops")
    least, most = (at_least_one(name, value.get(name)) for name in ("min_crops", "max_crops"))
    if least > most:
        raise BadValueError(f"tier_range from {least} to {most} crops is none")
    return least, most


def _mask(indices: Any, total: Any) -> str:
    blocks = whole(1, _MOST_BLOCKS)("num_total_blocks", total)
    if not isinstance(indices, list) or not indices:
        raise BadValueError(f"active_block_indices {shown(indices)} is no list of blocks")
    active = {whole(0, blocks - 1)("a value of active_block_indices", each) for each in indices}
    if len(active) != len(indices):
        raise BadValueError("active_block_indices names a block twice")
    return "".join("1" if block in active else "0" for block in range(blocks))
