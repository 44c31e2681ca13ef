"""What a spool's records may hold: the one rule for what is accepted and what is stored.

Whoever lets a file in and whoever stores it ask here, so that what was said to be taken in is in the database whole.
Types and ranges follow from the database's own tables.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from profcore.errors import FormatError, UserError
from profcore.experiments.motivation import find_experiment
from profcore.spec.records import TELEMETRY, Ceilings, Environment
from profcore.spec.runs import RunSpec, sweep_settings
from profcore.spec.stages import State

if TYPE_CHECKING:
    from profcore.storage.spool import Record

_YEARS = range(1970, 2200)
_LONGEST_SHOWN = 40
_TEXT_FIELDS = frozenset(
    field.name for field in dataclasses.fields(Environment) if field.name not in ("parameters", "shape")
)


class BadRecordError(ValueError):
    """A record that the database cannot hold; the message says which part of it, and why."""


def moment(text: Any) -> datetime:
    """A moment in UTC, without a zone, as the database keeps it.

    Raises:
        BadRecordError: It is none, or of no year in which this project can have measured.
    """
    try:
        found = datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
    except (TypeError, ValueError, OverflowError):
        raise BadRecordError(f"{_short(text)} is no time") from None
    if found.year not in _YEARS:
        raise BadRecordError(f"{_short(text)} is no time between {_YEARS[0]} and {_YEARS[-1]}")
    return found


def check_first(record: Record, settings: pa.Schema) -> int:
    """Whether a spool's first record is a run, or results imported from elsewhere; returns its number of settings.

    Raises:
        BadRecordError: It is neither, or of an experiment or a form that this version does not know.
    """
    try:
        if record["type"] == "run":
            spec = RunSpec.from_dict(record)
            moment(spec.created_at)
            find_experiment(spec.sweep.experiment)
            rows = sweep_settings(spec.sweep)
        elif record["type"] == "import":
            moment(record["created_at"])
            find_experiment(record["experiment"])
            _text(record["name"], "name")
            _finite(record.get("details") or {}, "details")
            rows = record["settings"]
        else:
            raise BadRecordError("it is neither a run nor an import")
        if not isinstance(rows, list) or not rows:
            raise BadRecordError("it has no settings")
        for number, row in enumerate(rows, start=1):
            _check_row(row, settings, f"setting {number}")
        return len(rows)
    except BadRecordError:
        raise
    except (UserError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise BadRecordError(reason or type(error).__name__) from None


def check_record(record: Record, num_settings: int, samples: pa.Schema) -> None:
    """Whether a record after the first can be stored.

    Args:
        record: The record.
        num_settings: How many settings its run has.
        samples: The columns of the table of samples.

    Raises:
        BadRecordError: It cannot; nothing of it is to be stored then.
    """
    check = _CHECKS.get(record["type"])
    if check is None:
        # A newer version may write more; what is not known is passed over, and nothing of it is stored.
        return
    try:
        if "setting" in record or record["type"] in _OF_SETTINGS:
            setting = record["setting"]
            if type(setting) is not int or not 0 <= setting < num_settings:
                raise BadRecordError(f"there is no setting {_short(setting)}")
        check(record, samples)
    except KeyError as error:
        raise BadRecordError(f"{error} is missing") from None


def check_records(records: list[Record], settings: pa.Schema, samples: pa.Schema, name: str) -> None:
    """Whether every record of a file can be stored; for what is taken in whole or not at all.

    Raises:
        FormatError: One cannot; the first few are named by their place among their kind.
    """
    try:
        number = check_first(records[0], settings)
    except BadRecordError as error:
        raise FormatError(f"{name} cannot be imported: {error}.") from None
    places: dict[str, int] = {}
    seen: set[int] = set()
    wrong: list[str] = []
    for record in records[1:]:
        kind = record["type"]
        places[kind] = places.get(kind, 0) + 1
        try:
            check_record(record, number, samples)
            if kind == "sample" and record["sample_id"] in seen:
                raise BadRecordError("its sample_id is there twice")
        except BadRecordError as error:
            wrong.append(f"{_KIND_NAMES.get(kind, kind)} {places[kind]}: {error}")
            continue
        if kind == "sample":
            seen.add(record["sample_id"])
    if wrong:
        more = f" And {len(wrong) - 3} more." if len(wrong) > 3 else ""
        raise FormatError(f"{name} cannot be imported: {'; '.join(wrong[:3])}.{more}")


def _sample(record: Record, samples: pa.Schema) -> None:
    if type(record["sample_id"]) is not int or record["sample_id"] < 0:
        raise BadRecordError(f"sample_id {_short(record['sample_id'])} is no number of 0 or more")
    _check_row(record, samples, "")
    telemetry = record.get("telemetry")
    if telemetry is not None:
        if not isinstance(telemetry, dict):
            raise BadRecordError("telemetry is no object")
        _check_row({name: telemetry.get(name) for name in TELEMETRY}, samples, "telemetry")
    for name, value in record.items():
        # Only what the stages leave of the total may, by the clock's resolution, lie below 0.
        if isinstance(value, int | float) and value < 0 and name not in ("other_ms", "setting"):
            raise BadRecordError(f"{name} is below 0")


def _environment(record: Record, samples: pa.Schema) -> None:
    del samples
    values = environment_of(record)
    _finite(values, "environment")
    for name, value in values.items():
        if name in _TEXT_FIELDS and not (value is None or isinstance(value, str)):
            raise BadRecordError(f"{name} of the environment is no text")
    if not isinstance(values.get("parameters", 0), int | float | None):
        raise BadRecordError("parameters of the environment is no number")
    if not isinstance(values.get("shape"), dict | None):
        raise BadRecordError("shape of the environment is no object")


def _ceilings(record: Record, samples: pa.Schema) -> None:
    del samples
    values = {key: value for key, value in record.items() if key != "type"}
    try:
        ceilings = Ceilings(**values)
    except TypeError:
        raise BadRecordError("the ceilings are not those that this version knows") from None
    for name in ("read_gb_s", "copy_gb_s", "matmul_tflop_s"):
        number = getattr(ceilings, name)
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < math.inf:
            raise BadRecordError(f"{name} of the ceilings is no number above 0")
    for name in ("device_name", "dtype", "torch", "measured_at"):
        _text(getattr(ceilings, name), name)


def _state(record: Record, samples: pa.Schema) -> None:
    del samples
    if record["state"] not in set(State):
        raise BadRecordError(f"{_short(record['state'])} is no state of a run")
    moment(record["at"])
    if record.get("reason") is not None:
        _text(record["reason"], "reason")


def _phase(record: Record, samples: pa.Schema) -> None:
    del samples
    _text(record["text"], "text")


def _routing(record: Record, samples: pa.Schema) -> None:
    del samples
    counts = record["prefill_experts"]
    if not isinstance(counts, list) or not all(type(count) is int and 0 <= count < 2**31 for count in counts):
        raise BadRecordError("prefill_experts is no list of whole numbers")


def _quality(record: Record, samples: pa.Schema) -> None:
    del samples
    for name in ("kl", "accuracy"):
        _number(record[name], name)
    _integer(record["queries"], "queries", 32)


def _failed(record: Record, samples: pa.Schema) -> None:
    del samples
    _text(record["reason"], "reason")


def _summary(record: Record, samples: pa.Schema) -> None:
    del samples
    _text(record["metric"], "metric")
    for name in ("P50", "P95", "P99", "mean", "std", "min", "max"):
        _number(record.get(name), name)


_CHECKS: dict[str, Callable[[Record, pa.Schema], None]] = {
    "sample": _sample,
    "environment": _environment,
    "ceilings": _ceilings,
    "state": _state,
    "phase": _phase,
    "routing": _routing,
    "quality": _quality,
    "quality_failed": _failed,
    "setting_failed": _failed,
    "summary": _summary,
}
_OF_SETTINGS = {"sample", "routing", "quality", "quality_failed", "setting_failed", "summary"}
_KIND_NAMES = {"sample": "row", "setting_failed": "failed setting"}


def environment_of(record: Record) -> dict[str, Any]:
    """The environment that a record holds: under `values`, or, as older spools have it, beside its type."""
    values = record.get("values")
    if isinstance(values, dict):
        return values
    return {key: value for key, value in record.items() if key != "type"}


def _check_row(row: Any, schema: pa.Schema, where: str) -> None:
    """Whether the columns of a table can hold a row's values; what is no column of it is not looked at."""
    if not isinstance(row, Mapping):
        raise BadRecordError(f"{where} is no object")
    for column in schema:
        value = row.get(column.name)
        if value is None or column.name in ("run_id",):
            continue
        _check_value(value, column.type, f"{where} {column.name}".strip())


def _check_value(value: Any, kind: pa.DataType, what: str) -> None:
    if pa.types.is_integer(kind):
        _integer(value, what, kind.bit_width)
    elif pa.types.is_floating(kind):
        _number(value, what)
    elif pa.types.is_list(kind):
        if not isinstance(value, list):
            raise BadRecordError(f"{what} is no list")
        for each in value:
            _check_value(each, kind.value_type, f"a value of {what}")
    elif pa.types.is_string(kind):
        _text(value, what)


def _integer(value: Any, what: str, bits: int) -> None:
    if type(value) is not int:
        raise BadRecordError(f"{what} {_short(value)} is no whole number")
    if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise BadRecordError(f"{what} {_short(value)} is beyond {bits} bits")


def _number(value: Any, what: str) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRecordError(f"{what} {_short(value)} is no number")
    if not abs(value) < 1e300:
        raise BadRecordError(f"{what} {_short(value)} is no number that can be")


def _text(value: Any, what: str) -> None:
    if not isinstance(value, str):
        raise BadRecordError(f"{what} {_short(value)} is no text")


def _finite(value: Any, what: str) -> None:
    """Whether plain values hold no number without end, which JSON cannot say."""
    if isinstance(value, float) and not math.isfinite(value):
        raise BadRecordError(f"{what} holds {value}, which is no number")
    if isinstance(value, dict):
        for each in value.values():
            _finite(each, what)
    elif isinstance(value, list):
        for each in value:
            _finite(each, what)


def _short(value: Any) -> str:
    """A value as a sentence can hold it."""
    text = type(value).__name__ if isinstance(value, dict | list) else repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
