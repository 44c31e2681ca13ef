"""Rows of a result file as samples: the one loop that every format with rows goes through."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from profcore.errors import FormatError
from profcore.formats.fields import (
    LATENCIES,
    MEASURED,
    MORE_LATENCIES,
    ROW,
    TELEMETRY_FIELDS,
    BadValueError,
    latency,
    read_fields,
    read_knobs,
    whole,
)
from profcore.spec.text import some

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from profcore.storage.lines import Record

Knobs = dict[str, Any]


@dataclass
class Rows:
    """What a file's rows hold.

    Attributes:
        settings: What each setting is known to be, by the database's columns.
        samples: A sample for each row.
        zeros: Latencies of exactly 0 that are missing values (see `drop_zeros`).
    """

    settings: list[Knobs] = field(default_factory=list)
    samples: list[Record] = field(default_factory=list)
    zeros: int = 0


def read_rows(
    rows: list[dict[str, Any]],
    name: str,
    where: str,
    *,
    settings: list[Knobs] | None = None,
    key: Callable[[Knobs, int], Hashable] = lambda knobs, number: tuple(sorted(knobs.items())),
) -> Rows:
    """The samples that rows hold, and the settings that they are of.

    Args:
        rows: As the file has them.
        name: What the file is called, for errors.
        where: The list they stand in, for errors.
        settings: The settings that the file itself lists, which each row then names by its place; None where rows are
            told apart by what they say.
        key: What tells settings apart, from a row's knobs and number.

    Raises:
        FormatError: Rows hold what they cannot, or no latency; the first few are named.
    """
    found = Rows(settings=list(settings or ()))
    places: dict[Hashable, int] = {}
    wrong: dict[str, list[int]] = {}
    for number, row in enumerate(rows, start=1):
        try:
            knobs = read_knobs(row)
            sample = _read_sample(row)
            place = _listed(row, knobs, found.settings) if settings is not None else None
        except BadValueError as error:
            wrong.setdefault(str(error), []).append(number)
            continue
        if place is None:
            place = places.setdefault(key(knobs, number), len(found.settings))
            if place == len(found.settings):
                found.settings.append(knobs)
        found.zeros += drop_zeros(sample)
        drop_known_sum(sample)
        found.samples.append({"type": "sample", "sample_id": number - 1, "setting": place, **sample})
    if wrong:
        raise wrong_rows(name, where, wrong)
    _keep_order(rows, found.samples)
    return found


def wrong_rows(name: str, where: str, wrong: dict[str, list[int]]) -> FormatError:
    """The error of rows that hold what they cannot: the first few reasons, each with its rows."""
    parts = [f"rows {some(numbers)} of {where}: {reason}" for reason, numbers in list(wrong.items())[:3]]
    more = f" And {len(wrong) - 3} more reasons." if len(wrong) > 3 else ""
    return FormatError(f"{name}: {'; '.join(parts)}.{more}")


def _read_sample(row: dict[str, Any]) -> Record:
    sample = read_fields(row, (*ROW, *MEASURED))
    if "vision_total_ms" not in sample and row.get("T_vision") is not None:
        sample["vision_total_ms"] = latency("T_vision", row["T_vision"])
    telemetry = read_fields(row, TELEMETRY_FIELDS)
    if telemetry:
        sample["telemetry"] = telemetry
    if not any(column in sample for column in (*LATENCIES.values(), *MORE_LATENCIES.values())):
        raise BadValueError("they have no latency, such as T_total")
    if sample.get("num_output_tokens") == 1:
        # Where nothing is decoded, published files have no decode rather than one of no time.
        sample.setdefault("llm_decode_ms", 0.0)
    return sample


def _listed(row: dict[str, Any], knobs: Knobs, settings: list[Knobs]) -> int:
    """The place of the setting that a row names; the row must not say otherwise of it."""
    place = whole(0, len(settings) - 1)("setting", row.get("setting"))
    for column, value in knobs.items():
        if settings[place].get(column, value) != value:
            raise BadValueError(f"their {column} is not that of setting {place}, which they name")
    return place


def drop_zeros(sample: Record) -> int:
    """Take latencies of exactly 0 out of a sample, and say how many there were.

    The published scripts got the projector, and in older files prefill and decode, by subtraction clamped at zero.
    So a zero there is a missing value, unless no decode step was asked for.
    """
    decodes = sample.get("num_output_tokens", 2) > 1
    columns = ("projector_ms", "llm_prefill_ms", *(("llm_decode_ms",) if decodes else ()))
    zeros = [column for column in columns if sample.get(column) == 0]
    for column in zeros:
        del sample[column]
    return len(zeros)


def drop_known_sum(sample: Record) -> None:
    """Take out a vision total that says no more than its two stages do."""
    if "vision_encoder_ms" in sample and "projector_ms" in sample:
        total = sample["vision_encoder_ms"] + sample["projector_ms"]
        if sample.get("vision_total_ms") == total:
            del sample["vision_total_ms"]


def _keep_order(rows: list[dict[str, Any]], samples: list[Record]) -> None:
    """Number the samples as the file does, where that tells all of them apart: it is the order they were taken in."""
    numbers = [row.get("sample_id") for row in rows]
    if all(type(each) is int and 0 <= each < 2**31 for each in numbers) and len(set(numbers)) == len(numbers):
        for sample, number in zip(samples, numbers, strict=True):
            sample["sample_id"] = number
        samples.sort(key=lambda sample: sample["sample_id"])
