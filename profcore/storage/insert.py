"""Records of a spool into tables; each goes through `storage.validation` first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from profcore.spec.records import CALLED_BEFORE, ENERGY_COLUMNS, TELEMETRY, of_sample
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
    cursor.append("settings", pa.Table.from_pylist(rows, schema=schema))


def insert_records(cursor: Cursor, run_id: str, records: list[Record], schema: pa.Schema) -> int:
    """Store what follows the first record; returns the number of samples that were not there before.

    Args:
        cursor: In a transaction.
        run_id: The run's id.
        records: Checked.
        schema: The columns of the table of samples.
    """
    new = _insert_samples(cursor, run_id, [each for each in records if each["type"] == "sample"], schema)
    summaries = [record for record in records if record["type"] == "summary"]
    if summaries:
        cursor.executemany(
            "INSERT INTO summaries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [[run_id, each["setting"], each["metric"], *(each.get(key) for key in _STATISTICS)] for each in summaries],
        )
    for record in _that_last(records):
        change = _CHANGES.get(record["type"])
        if change:
            statement, values = change(record)
            cursor.execute(statement, [*values, run_id, *([record["setting"]] if "setting" in record else [])])
    return new


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


def _of_setting(columns: dict[str, str]) -> Any:
    """The change of a setting's columns, each from a field of the record."""
    assignments = ", ".join(f"{column} = ?" for column in columns)
    statement = f"UPDATE settings SET {assignments} WHERE run_id = ? AND setting = ?"
    # A version that did not know a field wrote none.
    return lambda record: (statement, [record.get(field) for field in columns.values()])


_CHANGES = {
    "state": _state,
    "phase": lambda record: ("UPDATE runs SET phase = ? WHERE id = ?", [record["text"]]),
    "environment": _environment,
    "ceilings": _ceilings,
    "routing": _of_setting({"prefill_experts": "prefill_experts"}),
    "quality": _of_setting(
        {"kl": "kl", "accuracy": "accuracy", "quality_queries": "queries", "quality_scores": "scores"}
    ),
    "quality_failed": _of_setting({"quality_failed": "reason"}),
    "energy": _of_setting({column: field for field, column in ENERGY_COLUMNS.items()}),
    "energy_failed": _of_setting({"energy_failed": "reason"}),
    "setting_failed": _of_setting({"failed": "reason"}),
    "setting_ended": _of_setting({"stopped_by": "by"}),
}
"""What each kind of record changes: a statement and its first values; the run, and the setting it names, follow."""


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
        columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=schema)
