"""What a spool's records may hold: the one rule for what is accepted and what is stored.

Whoever lets a file in and whoever stores it ask here, so that what was said to be taken in is in the database whole.
Types and ranges follow from the database's own tables.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from profcore.errors import FormatError, UserError
from profcore.experiments.knobs import Experiment
from profcore.experiments.motivation import find_experiment
from profcore.spec.environments import MOST as MOST_ENVIRONMENTS
from profcore.spec.records import Ceilings, Environment
from profcore.spec.runs import RunSpec, sweep_settings
from profcore.spec.sound import (
    OF_SETTINGS,
    BadRecordError,
    check_finite,
    check_integer,
    check_measured,
    check_number,
    check_text,
    shown,
)
from profcore.spec.stages import State

if TYPE_CHECKING:
    from profcore.storage.lines import Record

_log = logging.getLogger(__name__)

_YEARS = range(1970, 2200)
_NUMBER_FIELDS, _OBJECT_FIELDS = ("parameters", "active_parameters", "load"), ("shape", "uncaptured")
_TEXT_FIELDS = {field.name for field in dataclasses.fields(Environment)} - {*_NUMBER_FIELDS, *_OBJECT_FIELDS}


def moment(text: Any) -> datetime:
    """A moment in UTC, without a zone, as the database keeps it.

    Raises:
        BadRecordError: It is none, or of no year in which this project can have measured.
    """
    try:
        found = datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
    except (TypeError, ValueError, OverflowError):
        raise BadRecordError(f"{shown(text)} is no time") from None
    if found.year not in _YEARS:
        raise BadRecordError(f"{shown(text)} is no time between {_YEARS[0]} and {_YEARS[-1]}")
    return found


def check_first(record: Record, settings: pa.Schema) -> int:
    """Whether a spool's first record is a run, or results imported from elsewhere; returns its number of settings.

    Raises:
        BadRecordError: It is neither, or of an experiment or a form that this version does not know.
    """
    try:
        if record["type"] == "run":
            spec = _spec(record)
            experiment = find_experiment(spec.sweep.experiment)
            rows = sweep_settings(spec.sweep)
        elif record["type"] == "import":
            moment(record["created_at"])
            experiment = find_experiment(record["experiment"])
            check_text(record["name"], "name")
            _details(record.get("details") or {})
            if record.get("spec"):
                _spec(record["spec"])
            rows = record["settings"]
        else:
            raise BadRecordError("it is neither a run nor an import")
        if not isinstance(rows, list) or not rows:
            raise BadRecordError("it has no settings")
        for number, row in enumerate(rows, start=1):
            _check_row(row, settings, f"setting {number}")
            if isinstance(experiment, Experiment) and row.get(experiment.setting_column) is None:
                raise BadRecordError(f"setting {number} has no {experiment.setting_column}")
        return len(rows)
    except BadRecordError:
        raise
    except (UserError, KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise BadRecordError(reason or type(error).__name__) from None


def _spec(values: Any) -> RunSpec:
    """The run that plain values hold, each of them of its kind: a page and a file show them as they are."""
    spec = RunSpec.from_dict(values)
    moment(spec.created_at)
    texts = {**spec.target.to_dict(), **spec.sweep.picture.to_dict()}
    for name, value in {**texts, "prompt": spec.sweep.prompt, "experiment": spec.sweep.experiment}.items():
        check_text(value, name)
    check_finite(values, "the run")
    return spec


def _details(values: Any) -> None:
    """What a file said beyond its rows."""
    if not isinstance(values, dict):
        raise BadRecordError("details is no object")
    check_finite(values, "details")
    check_integer(values.get("zeros", 0), "zeros", 32)


def is_good(record: Record, num_settings: int) -> bool:
    """As `check_record`, whether it can be stored; why not is for the log."""
    try:
        check_record(record, num_settings)
    except BadRecordError as error:
        _log.info("A record is left out: %s", error)
        return False
    return True


def check_record(record: Record, num_settings: int) -> None:
    """Whether a record after the first can be stored.

    Args:
        record: The record.
        num_settings: How many settings its run has.

    Raises:
        BadRecordError: It cannot; nothing of it is to be stored then.
    """
    if record["type"] in OF_SETTINGS:
        check_measured(record, num_settings)
        return
    check = _CHECKS.get(record["type"])
    if check is None:
        # A newer version may write more; what is not known is passed over, and nothing of it is stored.
        return
    try:
        check(record)
    except KeyError as error:
        raise BadRecordError(f"{error} is missing") from None


def check_records(records: list[Record], settings: pa.Schema, name: str) -> None:
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
            check_record(record, number)
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


def _environment(record: Record) -> None:
    values = environment_of(record)
    check_finite(values, "environment")
    for name, value in values.items():
        if name in _TEXT_FIELDS and not (value is None or isinstance(value, str)):
            raise BadRecordError(f"{name} of the environment is no text")
    for name in _NUMBER_FIELDS:
        if not isinstance(values.get(name, 0), int | float | None):
            raise BadRecordError(f"{name} of the environment is no number")
    for name in _OBJECT_FIELDS:
        if not isinstance(values.get(name), dict | None):
            raise BadRecordError(f"{name} of the environment is no object")


def _environments(record: Record) -> None:
    """Where a run was measured that has several environments, as its file lists them."""
    places = record["places"]
    if not isinstance(places, list) or len(places) > MOST_ENVIRONMENTS:
        raise BadRecordError("the environments are no list")
    seen = set()
    for each in places:
        if not isinstance(each, dict):
            raise BadRecordError("an environment is no object")
        for name in ("number", "shard", "from_sample"):
            value = each.get(name)
            if value is not None or name == "number":
                check_integer(value, f"{name} of an environment", 32)
                if isinstance(value, int) and value < 0:
                    raise BadRecordError(f"{name} of an environment is below 0")
        for name in ("host", "card", "device", "refused", "set_aside"):
            if each.get(name) is not None:
                check_text(each[name], f"{name} of an environment")
        if each["number"] in seen:
            raise BadRecordError(f"environment {each['number']} is there twice")
        seen.add(each["number"])


def _ceilings(record: Record) -> None:
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
        check_text(getattr(ceilings, name), name)


def _state(record: Record) -> None:
    if record["state"] not in list(State):
        raise BadRecordError(f"{shown(record['state'])} is no state of a run")
    moment(record["at"])
    if record.get("reason") is not None:
        check_text(record["reason"], "reason")


def _phase(record: Record) -> None:
    check_text(record["text"], "text")


_CHECKS: dict[str, Callable[[Record], None]] = {
    "environment": _environment,
    "environments": _environments,
    "ceilings": _ceilings,
    "state": _state,
    "phase": _phase,
}
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
        if value is not None and column.name != "run_id":
            _check_value(value, column.type, f"{where} {column.name}")


def _check_value(value: Any, kind: pa.DataType, what: str) -> None:
    if pa.types.is_integer(kind):
        check_integer(value, what, kind.bit_width)
    elif pa.types.is_floating(kind):
        check_number(value, what)
    elif pa.types.is_list(kind):
        if not isinstance(value, list):
            raise BadRecordError(f"{what} is no list")
        for each in value:
            _check_value(each, kind.value_type, f"a value of {what}")
    elif pa.types.is_string(kind):
        check_text(value, what)
