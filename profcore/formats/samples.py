"""A run's samples as CSV and Parquet."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from profcore.formats.text_files import csv_text, json_text

if TYPE_CHECKING:
    import pyarrow as pa


def samples_csv(table: pa.Table) -> str:
    """A run's samples as CSV; decode steps and issue times as JSON lists in one field each."""
    frame = table.to_pandas()
    for column in ("decode_steps_ms", "issue_ms"):
        frame[column] = [json_text([] if values is None else list(values)) for values in frame[column]]
    return csv_text(frame)


def samples_parquet(table: pa.Table, metadata: dict[str, Any]) -> bytes:
    """A run's samples as Parquet, with where they come from in the file's metadata under `profcore`."""
    buffer = io.BytesIO()
    schema = {**(table.schema.metadata or {}), b"profcore": json_text(metadata).encode()}
    pq.write_table(table.replace_schema_metadata(schema), buffer)
    return buffer.getvalue()
