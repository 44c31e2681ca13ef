"""Records of a spool into tables; each goes through `storage.validation` first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from profcore.spec.records import CALLED_BEFORE, ENERGY_COLUMNS, TELEMETRY, WORK_COLUMNS, of_sample
from profcore.spec.runs import RunSpec, sweep_settings
from profcore.spec.stages import State
from profcore.storage.validation import environment_of, moment

if TYPE_CHECKING:
    from profcore.storage.connection import Cursor
    from profcore.storage.lines import Record

_STATISTICS = ("P50", "P95", "P99", "mean", "std", "min", "max")


def insert_run(cursor: Cursor, run_id: str, first: Record, source: str, schema: pa.Schema) -> None:
    """Store a run and its settings, from the first record of its spool.

    Args:
        cursor: In a transaction.
        run_id: The run's id.
        first: The record, checked.
        source: Where it is from: 'measured', 'shipped' or 'synthetic'; an import says so itself.
        schema: The columns of the table of settings.

    Raises:
        ValueError: The record holds another run.
    """
    values: dict[str, Any]
    if first["type"] == "run":
        spec = RunSpec.from_dict(first)
        if spec.id != run_id:
            raise ValueError(f"it holds run {spec.id}")
        values = {
            "source": source,
            "name": None,
            "state": str(State.QUEUED),
            "created_at": moment(spec.created_at),
            "experiment": spec.sweep.experiment,
            "planned_samples": spec.sweep.num_inferences,
            "spec": json.dumps({key: value for key, value in first.items() if key != "type"}),
            "details": "{}",
        }
        settings = sweep_settings(spec.sweep)
    else:
        values = {
            "source": "imported",
            "name": first["name"],
            "state": str(State.DONE),
            "created_at": moment(first["created_at"]),
            "experiment": first["experiment"],
            "planned_samples": None,
            "spec": json.dumps(first["spec"]) if first.get("spec") else None,
            "details": json.dumps(first.get("details") or {}),
        }
        settings = first["settings"]
    names = ", ".join(["id", *values])
    places = ", ".join(["?"] * (len(values) + 1))
    cursor.execute(f"INSERT INTO runs ({names}) VALUES ({places})", [run_id, *values.values()])
    rows = [{**setting, "run_id": run_id, "setting": index} for index, setting in enumerate(settings)]
    cursor.append("settings", _table(rows, schema))


def insert_records(
    cursor: Cursor, run_id: str, records: list[Record], schema: pa.Schema, of_settings: pa.Schema
) -> int:
    """Store what follows the first record; returns the number of samples that were not there before.

    Args:
        cursor: In a transaction.
        run_id: The run's id.
        records: Checked.
        schema: The columns of the table of samples.
        of_settings: Those of the table of settings.
    """
    new = _insert_samples(cursor, run_id, [each for each in records if each["type"] == "sample"], schema)
    summaries = [record for record in records if record["type"] == "summary"]
    if summaries:
        cursor.executemany(
            "INSERT INTO summaries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [[run_id, each["setting"], each["metric"], *(each.get(key) for key in _STATISTICS)] for each in summaries],
        )
    for record in _that_last(records):
        if change := _OF_RUN.get(record["type"]):
            statement, values = change(record)
            cursor.execute(statement, [*values, run_id])
    for kind, columns in _OF_SETTINGS.items():
        _change_settings(cursor, run_id, columns, [each for each in records if each["type"] == kind], of_settings)
    return new


def _change_settings(
    cursor: Cursor, run_id: str, columns: dict[str, str], records: list[Record], schema: pa.Schema
) -> None:
    """Give settings what records of one kind say of them, all at once: one by one takes half of a first start.

    Args:
        cursor: In a transaction.
        run_id: The run's id.
        columns: From which field of a record each column comes.
        records: Of several on one setting the last holds.
        schema: The columns of the table of settings.
    """
    if not records:
        return
    last = {record["setting"]: record for record in records}
    rows = [
        # A version that did not know a field wrote none.
        {"run_id": run_id, "setting": setting, **{column: record.get(field) for column, field in columns.items()}}
        for setting, record in last.items()
    ]
    own = pa.schema([schema.field(name) for name in ("run_id", "setting", *columns)])
    cursor.change("settings", _table(rows, own), by=("run_id", "setting"))


def _that_last(records: list[Record]) -> list[Record]:
    """The records without the phases that a later one of them replaces: most of what a long spool's changes are."""
    last = max((place for place, each in enumerate(records) if each["type"] == "phase"), default=None)
    return [each for place, each in enumerate(records) if each["type"] != "phase" or place == last]


def _insert_samples(cursor: Cursor, run_id: str, records: list[Record], schema: pa.Schema) -> int:
    """Store samples that are not there yet: whoever writes or copies a line twice doubles nothing."""
    once = list({record["sample_id"]: record for record in reversed(records)}.values())[::-1]
    if not once:
        return 0
    known = cursor.execute(
        "SELECT sample_id FROM samples WHERE run_id = ? AND sample_id BETWEEN ? AND ?",
        [run_id, min(record["sample_id"] for record in once), max(record["sample_id"] for record in once)],
    ).fetchall()
    there = {row[0] for row in known}
    new = [record for record in once if record["sample_id"] not in there]
    if new:
        cursor.append("samples", _sample_columns(run_id, new, schema))
    return len(new)


def _state(record: Record) -> tuple[str, list[Any]]:
    column = "ended_at" if State(record["state"]).ended else "started_at"
    statement = f"UPDATE runs SET state = ?, reason = ?, {column} = ?, phase = NULL WHERE id = ?"
    return statement, [record["state"], record.get("reason"), moment(record["at"])]


def _environment(record: Record) -> tuple[str, list[Any]]:
    return "UPDATE runs SET environment = ? WHERE id = ?", [json.dumps(environment_of(record))]


def _ceilings(record: Record) -> tuple[str, list[Any]]:
    values = {key: value for key, value in record.items() if key != "type"}
    return "UPDATE runs SET ceilings = ? WHERE id = ?", [json.dumps(values)]


_OF_RUN = {
    "state": _state,
    "phase": lambda record: ("UPDATE runs SET phase = ? WHERE id = ?", [record["text"]]),
    "environment": _environment,
    "ceilings": _ceilings,
}
"""What each kind of record changes of the run: a statement and its first values, which the run's id follows."""

_OF_SETTINGS = {
    "routing": {"prefill_experts": "prefill_experts"},
    "quality": {"kl": "kl", "accuracy": "accuracy", "quality_queries": "queries", "quality_scores": "scores"},
    "quality_failed": {"quality_failed": "reason"},
    "energy": {column: field for field, column in ENERGY_COLUMNS.items()},
    "energy_failed": {"energy_failed": "reason"},
    "work": {column: column for column in WORK_COLUMNS},
    "setting_failed": {"failed": "reason"},
    "setting_ended": {"stopped_by": "by"},
    "answer": {"answer": "text"},
}
"""What each kind of record changes of the setting that it names: columns, each from a field of the record."""


def _sample_columns(run_id: str, records: list[Record], schema: pa.Schema) -> pa.Table:
    """Samples as a table; made column by column, which is several times as fast as row by row."""
    telemetry = [record.get("telemetry") or {} for record in records]
    given = {name for record in records for name in record}
    columns = []
    for field in schema:
        if field.name == "run_id":
            values: list[Any] = [run_id] * len(records)
        elif field.name in TELEMETRY:
            values = [each.get(field.name) for each in telemetry]
        elif field.name in CALLED_BEFORE:
            values = [of_sample(record, field.name) for record in records]
        elif field.name in given:
            values = [record.get(field.name) for record in records]
        else:
            columns.append(pa.nulls(len(records), field.type))
            continue
        columns.append(_array(values, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _table(rows: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    columns = [_array([row.get(field.name) for row in rows], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Values as a column; a whole number that no float is becomes the nearest that is, as JSON is read elsewhere."""
    try:
        return pa.array(values, kind)
    except pa.ArrowInvalid:
        if not pa.types.is_floating(kind.value_type if pa.types.is_list(kind) else kind):
            raise
        return pa.array([_nearest_float(value) for value in values], kind)


def _nearest_float(value: Any) -> Any:
    if isinstance(value, list):
        return [_nearest_float(each) for each in value]
    return float(value) if type(value) is int else value
