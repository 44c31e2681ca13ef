"""Result files, in and out: the published profiling JSON, CSV and Parquet.

Public field names are those of the published scripts (`T_LLM_prefill`, …), latencies in milliseconds.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq

from profcore.errors import FormatError
from profcore.experiments import CATALOGUE, Experiment
from profcore.models.images import grid_size
from profcore.spec import Knob
from profcore.spool import Record, now
from profcore.stats import published_block

if TYPE_CHECKING:
    import pyarrow as pa

# Published field -> this project's column.
_LATENCIES = {
    "T_vision_encoder": "vision_encoder_ms",
    "T_projector": "projector_ms",
    "T_LLM_prefill": "llm_prefill_ms",
    "T_LLM_decode": "llm_decode_ms",
    "T_total": "total_ms",
}
_COUNTS = {
    "num_vision_tokens": "num_vision_tokens",
    "num_input_text_tokens": "num_input_tokens",
    "num_output_tokens": "num_output_tokens",
}
_STATISTICS = ("P50", "P95", "P99", "mean", "std", "min", "max")
_ROWS_NAMED = 5


# Out


def profiling_json(experiment: Experiment, samples: pd.DataFrame, metadata: dict[str, Any]) -> str:
    """A run's results in the published profiling format.

    Args:
        experiment: Which experiment the run is.
        samples: As `Store.sample_table(run_id).to_pandas()` gives them.
        metadata: Where the figures come from; an extra top-level key.
    """
    summary = []
    for _, group in samples.groupby("setting", sort=True):
        entry = _setting_fields(experiment, group.iloc[0])
        if experiment.blocks is None:
            entry.update(published_block(group["llm_prefill_ms"]))
        else:
            entry.update({name: published_block(group[column]) for name, column in experiment.blocks.items()})
        summary.append(entry)
    ordered = samples.sort_values(["setting", "sample_id"])
    rows = [_published_row(experiment, row) for row in ordered.to_dict("records")]
    document = {"summary": summary, "all_samples": rows, "metadata": metadata}
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def _setting_fields(experiment: Experiment, row: Any) -> dict[str, Any]:
    """The fields by which a published file names a setting."""
    if experiment.knob is Knob.VISION_TOKENS:
        rows, columns = int(row["grid_rows"]), int(row["grid_columns"])
        width, height = grid_size(rows, columns)
        return {
            "grid": f"{rows}×{columns}",
            "resolution": f"{width}x{height}",
            "num_crops": _plain(row["num_crops"]),
            "num_vision_tokens": _plain(row["num_vision_tokens"]),
        }
    column = {
        Knob.TOP_K: "top_k",
        Knob.ACTIVE_BLOCKS: "active_blocks",
        Knob.OUTPUT_TOKENS: "output_tokens",
    }[experiment.knob]
    return {experiment.field: int(row[column])}


def _published_row(experiment: Experiment, row: dict[Any, Any]) -> dict[str, Any]:
    vision = _sum(row["vision_encoder_ms"], row["projector_ms"])
    fields = {"sample_id": int(row["sample_id"]), **_setting_fields(experiment, row)}
    fields.update({name: _plain(row[column]) for name, column in _LATENCIES.items()})
    fields["T_vision_total"] = vision
    fields["T_other"] = _plain(row["other_ms"])
    fields.update({name: _plain(row[column]) for name, column in _COUNTS.items()})
    steps = row["decode_steps_ms"]
    fields["decode_steps_ms"] = [] if steps is None else [float(step) for step in steps]
    fields["round"] = _plain(row["round"])
    fields["elapsed_s"] = _plain(row["elapsed_s"])
    return fields


def _plain(value: Any) -> Any:
    """A JSON value: None for a missing one, else a Python number."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    return value.item() if hasattr(value, "item") else value


def _sum(*values: Any) -> float | None:
    plain = [_plain(value) for value in values]
    return None if None in plain else sum(plain)


def samples_csv(table: pa.Table) -> str:
    """A run's samples as CSV; decode steps and issue times as JSON lists in one field each."""
    frame = table.to_pandas()
    for column in ("decode_steps_ms", "issue_ms"):
        frame[column] = [json.dumps([] if values is None else list(values)) for values in frame[column]]
    return frame.to_csv(index=False)


def samples_parquet(table: pa.Table, metadata: dict[str, Any]) -> bytes:
    """A run's samples as Parquet, with where they come from in the file's metadata under `profcore`."""
    buffer = io.BytesIO()
    schema = {**(table.schema.metadata or {}), b"profcore": json.dumps(metadata, default=str).encode()}
    pq.write_table(table.replace_schema_metadata(schema), buffer)
    return buffer.getvalue()


# In


@dataclass(frozen=True)
class Imported:
    """A result file as records of a spool.

    Attributes:
        run_id: Follows from the file's content, so that a file taken in twice is one run.
        zeros: Zeros that are missing values by the published method (see `read_profiling`).
    """

    run_id: str
    records: list[Record]
    zeros: int


def read_profiling(data: bytes, name: str) -> Imported:
    """A profiling result file, ours or published; also the older bare list, which holds the summary alone.

    The published scripts got the projector, and in older files prefill and decode, by subtraction clamped at zero.
    So a zero there is a missing value and is taken in as one, unless no decode step was asked for.

    Args:
        data: The file's content.
        name: What the file is called, for the run and for errors.

    Raises:
        FormatError: It is no such file, or rows of it lack fields or hold impossible values.
    """
    try:
        document = json.loads(data)
    except (ValueError, UnicodeDecodeError):
        raise FormatError(f"{name} is not JSON: give a result file or a spool.") from None
    if isinstance(document, list):
        document = {"summary": document}
    if isinstance(document, dict) and "results" in document:
        raise FormatError(f"{name} holds Motivation results; only profiling results can be taken in.")
    if not isinstance(document, dict) or not isinstance(document.get("summary"), list):
        raise FormatError(f"{name} is no profiling result: it needs a list called summary.")
    summary, rows = document["summary"], document.get("all_samples") or []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in [*summary, *rows]):
        raise FormatError(f"{name} is no profiling result: summary and all_samples must be lists of objects.")
    if not summary and not rows:
        raise FormatError(f"{name} holds no result.")
    experiment = _recognise([*rows, *summary], name)

    values: list[Any] = []
    for row in [*summary, *rows]:
        if row[experiment.field] not in values:
            values.append(row[experiment.field])
    metadata = document.get("metadata")
    environment = metadata.get("environment") if isinstance(metadata, dict) else None
    digest = hashlib.sha256(data).hexdigest()[:16]
    records: list[Record] = [
        {
            "type": "import",
            "name": Path(name).name,
            "created_at": now(),
            "experiment": experiment.name,
            "settings": [_read_setting(experiment, value, name) for value in values],
        }
    ]
    if isinstance(environment, dict):
        records.append({"type": "environment", **environment})
    samples, zeros = _read_rows(rows, experiment, values, name)
    records += samples or _read_summary(summary, experiment, values, name)
    return Imported(f"import-{digest}", records, zeros)


def _recognise(rows: list[dict[str, Any]], name: str) -> Experiment:
    """The experiment whose field every row has."""
    for experiment in CATALOGUE.values():
        having = [experiment.field in row for row in rows]
        if all(having):
            return experiment
        if any(having):
            lacking = [number for number, has in enumerate(having, start=1) if not has]
            raise FormatError(f"{name}: rows {_some(lacking)} lack the field {experiment.field}.")
    fields = ", ".join(experiment.field for experiment in CATALOGUE.values())
    raise FormatError(f"{name} is no profiling result: its rows have none of the fields {fields}.")


def _read_setting(experiment: Experiment, value: Any, name: str) -> dict[str, Any]:
    try:
        if experiment.knob is Knob.VISION_TOKENS:
            rows, columns = (int(part) for part in str(value).replace("x", "×").split("×"))
            return {"grid_rows": rows, "grid_columns": columns}
        column = {
            Knob.TOP_K: "top_k",
            Knob.ACTIVE_BLOCKS: "active_blocks",
            Knob.OUTPUT_TOKENS: "output_tokens",
        }[experiment.knob]
        return {column: int(value)}
    except (TypeError, ValueError):
        raise FormatError(f"{name}: {value!r} is no value of {experiment.field}.") from None


def _read_rows(
    rows: list[dict[str, Any]], experiment: Experiment, values: list[Any], name: str
) -> tuple[list[Record], int]:
    records, wrong, zeros = [], [], 0
    for number, row in enumerate(rows, start=1):
        record: Record = {
            "type": "sample",
            "sample_id": number - 1,
            "setting": values.index(row[experiment.field]),
        }
        try:
            for field, column in _LATENCIES.items():
                record[column] = _latency(row.get(field))
            for field, column in _COUNTS.items():
                record[column] = None if row.get(field) is None else int(row[field])
            steps = [_latency(step) for step in row.get("decode_steps_ms") or []]
            record["other_ms"] = None if row.get("T_other") is None else float(row["T_other"])
        except (TypeError, ValueError):
            wrong.append(number)
            continue
        if all(record[column] is None for column in _LATENCIES.values()):
            wrong.append(number)
            continue
        record["decode_steps_ms"] = steps
        for column in ("num_crops", "round", "elapsed_s"):
            record[column] = row.get(column)
        decodes = (record["num_output_tokens"] or 2) > 1
        for column in ("projector_ms", "llm_prefill_ms", *(("llm_decode_ms",) if decodes else ())):
            if record[column] == 0:
                record[column] = None
                zeros += 1
        records.append(record)
    if wrong:
        raise FormatError(
            f"{name}: rows {_some(wrong)} of all_samples have no latency, or one that is no number of 0 or more."
        )
    return records, zeros


def _read_summary(summary: list[dict[str, Any]], experiment: Experiment, values: list[Any], name: str) -> list[Record]:
    records, wrong = [], []
    for number, entry in enumerate(summary, start=1):
        setting = values.index(entry[experiment.field])
        blocks = (
            {"llm_prefill_ms": entry}
            if experiment.blocks is None
            else {column: entry.get(block) for block, column in experiment.blocks.items()}
        )
        for column, block in blocks.items():
            try:
                statistics = {key: _latency(block[key]) for key in _STATISTICS if key in block}  # type: ignore[index,operator]
                statistics["P50"]
            except (KeyError, TypeError, ValueError):
                wrong.append(number)
                break
            records.append({"type": "summary", "setting": setting, "metric": column, **statistics})
    if wrong:
        raise FormatError(f"{name}: rows {_some(wrong)} of summary lack their statistics, or have one below 0.")
    return records


def _latency(value: Any) -> float | None:
    """A latency in milliseconds, or None where it is missing."""
    if value is None:
        return None
    if isinstance(value, bool | str):
        raise ValueError(value)
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError(value)
    return number


def _some(numbers: list[int]) -> str:
    more = len(numbers) - _ROWS_NAMED
    return ", ".join(map(str, numbers[:_ROWS_NAMED])) + (f" and {more} more" if more > 0 else "")
