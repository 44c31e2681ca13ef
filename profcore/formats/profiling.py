"""The published profiling JSON, in and out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from profcore.errors import FormatError
from profcore.experiments.knobs import CATALOGUE, Experiment
from profcore.formats.common import (
    LATENCIES,
    STATISTICS,
    Imported,
    drop_zeros,
    grid_fields,
    import_records,
    plain,
    plain_sum,
    published_block,
    read_count,
    read_grid,
    read_latency,
    wrong_rows,
)
from profcore.spec.stages import Knob
from profcore.spec.text import some

if TYPE_CHECKING:
    import pandas as pd

    from profcore.storage.spool import Record

_COUNTS = {
    "num_vision_tokens": "num_vision_tokens",
    "num_input_text_tokens": "num_input_tokens",
    "num_output_tokens": "num_output_tokens",
}


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
        return {
            **grid_fields(row),
            "num_crops": plain(row["num_crops"]),
            "num_vision_tokens": plain(row["num_vision_tokens"]),
        }
    column = {
        Knob.TOP_K: "top_k",
        Knob.ACTIVE_BLOCKS: "active_blocks",
        Knob.OUTPUT_TOKENS: "output_tokens",
    }[experiment.knob]
    return {experiment.field: int(row[column])}


def _published_row(experiment: Experiment, row: dict[Any, Any]) -> dict[str, Any]:
    vision = plain_sum(row["vision_encoder_ms"], row["projector_ms"])
    if vision is None:
        vision = plain(row.get("vision_total_ms"))
    fields = {"sample_id": int(row["sample_id"]), **_setting_fields(experiment, row)}
    fields.update({name: plain(row[column]) for name, column in LATENCIES.items()})
    fields["T_vision_total"] = vision
    fields["T_other"] = plain(row["other_ms"])
    fields.update({name: plain(row[column]) for name, column in _COUNTS.items()})
    steps = row["decode_steps_ms"]
    fields["decode_steps_ms"] = [] if steps is None else [float(step) for step in steps]
    fields["round"] = plain(row["round"])
    fields["elapsed_s"] = plain(row["elapsed_s"])
    return fields


# In


def read_profiling(document: Any, data: bytes, name: str) -> Imported:
    """A profiling result file, ours or published; also the older bare list, which holds the summary alone.

    Zeros that come from the published subtraction are taken in as missing (see `drop_zeros`).

    Args:
        document: What the file holds.
        data: The file's content, which names the run.
        name: What the file is called, for the run and for errors.

    Raises:
        FormatError: It is no such file, or rows of it lack fields or hold impossible values.
    """
    if isinstance(document, list):
        document = {"summary": document}
    if not isinstance(document, dict) or not isinstance(document.get("summary"), list):
        raise FormatError(f"{name} is no result file: it needs a list called summary or results.")
    summary, rows = document["summary"], document.get("all_samples") or []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in [*summary, *rows]):
        raise FormatError(f"{name} is no profiling result: summary and all_samples must be lists of objects.")
    if not summary and not rows:
        raise FormatError(f"{name} holds no result.")
    experiment = _recognise([*rows, *summary], name)

    try:
        values = {value: index for index, value in enumerate(_distinct(experiment, [*summary, *rows]))}
    except TypeError:
        raise FormatError(f"{name}: a value of {experiment.field} is neither a number nor a text.") from None
    settings = [_read_setting(experiment, value, name) for value in values]
    samples, zeros = _read_rows(rows, experiment, values, name)
    records = samples or _read_summary(summary, experiment, values, name)
    details = {"zeros": zeros} if zeros else {}
    return import_records(data, name, experiment.name, settings, document.get("metadata"), details, records)


def _distinct(experiment: Experiment, rows: list[dict[str, Any]]) -> dict[Any, None]:
    return dict.fromkeys(row[experiment.field] for row in rows)


def _recognise(rows: list[dict[str, Any]], name: str) -> Experiment:
    """The experiment whose field every row has."""
    for experiment in CATALOGUE.values():
        having = [experiment.field in row for row in rows]
        if all(having):
            return experiment
        if any(having):
            lacking = [number for number, has in enumerate(having, start=1) if not has]
            raise FormatError(f"{name}: rows {some(lacking)} lack the field {experiment.field}.")
    fields = ", ".join(experiment.field for experiment in CATALOGUE.values())
    raise FormatError(f"{name} is no profiling result: its rows have none of the fields {fields}.")


def _read_setting(experiment: Experiment, value: Any, name: str) -> dict[str, Any]:
    try:
        if experiment.knob is Knob.VISION_TOKENS:
            rows, columns = read_grid(value)
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
    rows: list[dict[str, Any]], experiment: Experiment, values: dict[Any, int], name: str
) -> tuple[list[Record], int]:
    records, wrong, zeros = [], [], 0
    for number, row in enumerate(rows, start=1):
        record: Record = {
            "type": "sample",
            "sample_id": number - 1,
            "setting": values[row[experiment.field]],
        }
        try:
            for field, column in LATENCIES.items():
                record[column] = read_latency(row.get(field))
            for field, column in _COUNTS.items():
                record[column] = read_count(row.get(field))
            record["vision_total_ms"] = read_latency(row.get("T_vision_total"))
            steps = [read_latency(step) for step in row.get("decode_steps_ms") or []]
            record["other_ms"] = None if row.get("T_other") is None else float(row["T_other"])
        except (TypeError, ValueError):
            wrong.append(number)
            continue
        if all(record[column] is None for column in LATENCIES.values()):
            wrong.append(number)
            continue
        record["decode_steps_ms"] = steps
        for column in ("num_crops", "round", "elapsed_s"):
            record[column] = row.get(column)
        zeros += drop_zeros(record)
        records.append(record)
    if wrong:
        raise wrong_rows(name, wrong, "all_samples")
    return records, zeros


def _read_summary(
    summary: list[dict[str, Any]], experiment: Experiment, values: dict[Any, int], name: str
) -> list[Record]:
    records, wrong = [], []
    for number, entry in enumerate(summary, start=1):
        setting = values[entry[experiment.field]]
        blocks = (
            {"llm_prefill_ms": entry}
            if experiment.blocks is None
            else {column: entry.get(block) for block, column in experiment.blocks.items()}
        )
        for column, block in blocks.items():
            try:
                statistics = {key: read_latency(block[key]) for key in STATISTICS if key in block}  # type: ignore[index,operator]
                statistics["P50"]
            except (KeyError, TypeError, ValueError):
                wrong.append(number)
                break
            records.append({"type": "summary", "setting": setting, "metric": column, **statistics})
    if wrong:
        raise FormatError(f"{name}: rows {some(wrong)} of summary lack their statistics, or have one below 0.")
    return records
