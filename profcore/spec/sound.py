"""What a record of something measured may hold. Standard library only: a machine that only measures asks it too."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from profcore.spec.records import CALLED_BEFORE, ENERGY_COLUMNS, STAGE_PEAKS, TELEMETRY, WORK_COLUMNS
from profcore.spec.until import StoppedBy

_LONGEST_SHOWN = 40
_LEAST, _MOST = -1e300, 1e300
"""Between which a number that can be lies."""
_NUMBERS = {int, float, bool}

SAMPLE_COLUMNS: dict[str, str] = {
    **dict.fromkeys(("sample_id", "setting", "round", "environment_number"), "int32"),
    **dict.fromkeys(("num_crops", "num_vision_tokens", "num_input_tokens", "num_output_tokens"), "int32"),
    **dict.fromkeys(("peak_memory_bytes", "throttle_reasons", "memory_used_bytes", *STAGE_PEAKS), "int64"),
    **dict.fromkeys(("other_processes",), "int32"),
    **dict.fromkeys(("memory_clock_mhz", "others_utilisation_percent", "host_probe_us"), "number"),
    **dict.fromkeys(("elapsed_s", "vision_encoder_ms", "projector_ms", "llm_prefill_ms", "llm_decode_ms"), "number"),
    **dict.fromkeys(("other_ms", "total_ms", "host_preprocessing_ms", "vision_total_ms", "system_total_ms"), "number"),
    **dict.fromkeys(("sm_clock_mhz", "temperature_c", "power_w", "step_issue_ms", "first_token_ms"), "number"),
    **dict.fromkeys(("picture_reading_ms",), "number"),
    **dict.fromkeys((f"flops_{part}" for part in ("vision_encoder", "projector")), "number"),
    **dict.fromkeys((f"flops_{part}" for part in ("llm_prefill", "llm_decode", "total")), "number"),
    **dict.fromkeys(("decode_steps_ms", "issue_ms"), "numbers"),
}
"""The columns of the table of samples, but for the run's, and what each holds."""


class BadRecordError(ValueError):
    """A record that the database cannot hold; the message says which part of it, and why."""


def check_measured(record: dict[str, Any], num_settings: int) -> None:
    """Whether a record of a setting can be stored: a sample, or what else was found at it.

    Args:
        record: Of a kind in `OF_SETTINGS`.
        num_settings: How many settings its run has.

    Raises:
        BadRecordError: It cannot; nothing of it is to be stored or counted then.
    """
    try:
        setting = record["setting"]
        if type(setting) is not int or not 0 <= setting < num_settings:
            raise BadRecordError(f"there is no setting {shown(setting)}")
        OF_SETTINGS[record["type"]](record)
    except KeyError as error:
        raise BadRecordError(f"{error} is missing") from None


def _sample(record: dict[str, Any]) -> None:
    if type(record["sample_id"]) is not int or record["sample_id"] < 0:
        raise BadRecordError(f"sample_id {shown(record['sample_id'])} is no number of 0 or more")
    _check_columns(record, "")
    telemetry = record.get("telemetry")
    if telemetry is not None:
        if not isinstance(telemetry, dict):
            raise BadRecordError("telemetry is no object")
        _check_columns({name: telemetry[name] for name in TELEMETRY if name in telemetry}, "telemetry ")
    for name, value in record.items():
        # Only what the stages leave of the total may, by the clock's resolution, lie below 0.
        if type(value) in _NUMBERS and value < 0 and name not in ("other_ms", "setting"):
            raise BadRecordError(f"{name} is below 0")


def _check_columns(values: dict[str, Any], where: str) -> None:
    """Whether the table of samples can hold these; what is no column of it is not looked at."""
    for name, value in values.items():
        kind = SAMPLE_COLUMNS.get(name)
        # What nearly every value is, is told at a glance: a first start looks at hundreds of thousands.
        if kind is None or value is None or (kind == "number" and type(value) is float and _LEAST < value < _MOST):
            continue
        _check_value(value, kind, f"{where}{name}")
    for name, before in CALLED_BEFORE.items():
        if values.get(before) is not None:
            _check_value(values[before], SAMPLE_COLUMNS[name], f"{where}{before}")


def _routing(record: dict[str, Any]) -> None:
    counts = record["prefill_experts"]
    if not isinstance(counts, list) or not all(type(count) is int and 0 <= count < 2**31 for count in counts):
        raise BadRecordError("prefill_experts is no list of whole numbers")


def _quality(record: dict[str, Any]) -> None:
    for name in ("kl", "accuracy"):
        check_number(record[name], name)
    check_integer(record["queries"], "queries", 32)
    scores = record.get("scores")
    if scores is not None:
        if not isinstance(scores, list):
            raise BadRecordError("scores is no list")
        for each in scores:
            check_number(each, "a value of scores")
            if each is None:
                raise BadRecordError("scores lacks a value")


def _energy(record: dict[str, Any]) -> None:
    check_text(record["method"], "method")
    for name in ENERGY_COLUMNS:
        if name != "method":
            check_number(record[name], name)
            if record[name] is not None and record[name] < 0:
                raise BadRecordError(f"{name} is below 0")


def _work(record: dict[str, Any]) -> None:
    for name in WORK_COLUMNS:
        check_number(record[name], name)
        if record[name] is not None and record[name] < 0:
            raise BadRecordError(f"{name} is below 0")


def _failed(record: dict[str, Any]) -> None:
    check_text(record["reason"], "reason")


def _ended(record: dict[str, Any]) -> None:
    if record["by"] not in list(StoppedBy):
        raise BadRecordError(f"{shown(record['by'])} is nothing that ends a setting")


def _answer(record: dict[str, Any]) -> None:
    check_text(record["text"], "text")


def _summary(record: dict[str, Any]) -> None:
    check_text(record["metric"], "metric")
    for name in ("P50", "P95", "P99", "mean", "std", "min", "max"):
        check_number(record.get(name), name)


OF_SETTINGS: dict[str, Callable[[dict[str, Any]], None]] = {
    "sample": _sample,
    "routing": _routing,
    "quality": _quality,
    "quality_failed": _failed,
    "energy": _energy,
    "energy_failed": _failed,
    "work": _work,
    "setting_failed": _failed,
    "setting_ended": _ended,
    "answer": _answer,
    "summary": _summary,
}
"""The kinds of record that say something of a setting, and what each must be."""


def _check_value(value: Any, kind: str, what: str) -> None:
    """Whether a value is of a kind in `SAMPLE_COLUMNS`."""
    if kind in ("int32", "int64"):
        check_integer(value, what, int(kind[3:]))
    elif kind == "number":
        check_number(value, what)
    elif not isinstance(value, list):
        raise BadRecordError(f"{what} is no list")
    elif not all(type(each) is float and _LEAST < each < _MOST for each in value):
        # One of them is something else than what nearly all of them are: which, and is it wrong?
        for each in value:
            if each is None:
                raise BadRecordError(f"{what} lacks a value")
            check_number(each, f"a value of {what}")


def check_integer(value: Any, what: str, bits: int) -> None:
    """Whether a value is a whole number of so many bits."""
    if type(value) is not int:
        raise BadRecordError(f"{what} {shown(value)} is no whole number")
    if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise BadRecordError(f"{what} {shown(value)} is beyond {bits} bits")


def check_number(value: Any, what: str) -> None:
    """Whether a value is a number that can be, or nothing."""
    if value is None or (type(value) is float and _LEAST < value < _MOST):
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRecordError(f"{what} {shown(value)} is no number")
    if not _LEAST < value < _MOST:
        raise BadRecordError(f"{what} {shown(value)} is no number that can be")


def check_text(value: Any, what: str) -> None:
    """Whether a value is a text."""
    if not isinstance(value, str):
        raise BadRecordError(f"{what} {shown(value)} is no text")


def check_finite(value: Any, what: str) -> None:
    """Whether plain values hold no number without end, which JSON cannot say."""
    if isinstance(value, float) and not math.isfinite(value):
        raise BadRecordError(f"{what} holds {value}, which is no number")
    if isinstance(value, dict):
        for each in value.values():
            check_finite(each, what)
    elif isinstance(value, list):
        for each in value:
            check_finite(each, what)


def shown(value: Any) -> str:
    """A value as a sentence can hold it."""
    text = type(value).__name__ if isinstance(value, dict | list) else repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
