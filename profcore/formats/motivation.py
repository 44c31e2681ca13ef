"""The published Motivation JSON, in and out: `{"results": [...]}`, a row for each picture and question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from profcore.errors import FormatError
from profcore.experiments.motivation import MOTIVATION, Motivation
from profcore.formats.fields import FLOPS, LATENCIES, MORE_LATENCIES, MOTIVATION_PROMPT
from profcore.formats.metadata import import_records, read_details, read_metadata
from profcore.formats.rows import read_rows
from profcore.formats.text_files import json_text
from profcore.formats.values import knob_fields, measured_fields, plain, plain_sum, published_vision, whole_or_none
from profcore.spec.text import some

if TYPE_CHECKING:
    from collections.abc import Hashable

    from profcore.formats.metadata import Imported

_COUNTS = {
    "num_crops": "num_crops",
    "num_vision_tokens": "num_vision_tokens",
    MOTIVATION_PROMPT: "num_input_tokens",
    "num_output_tokens": "num_output_tokens",
}
# What tells that a row is one of Motivation: any of these.
KNOWN_FIELDS = (*LATENCIES, *MORE_LATENCIES, "T_vision")
_KEPT_KEYS = ("parameters", "average_latencies", "use_eos_token", "correlation", "r_squared")


# Out


def motivation_json(
    experiment: Motivation,
    samples: pd.DataFrame,
    metadata: dict[str, Any],
    more: dict[str, Any] | None = None,
) -> str:
    """A run's results in the published Motivation format.

    Experiment 3's `results` are a row for each grid, the mean over its runs, as published; its single samples follow
    under `all_samples`.

    Args:
        experiment: Which experiment the run is.
        samples: As `Store.sample_table(run_id).to_pandas()` gives them.
        metadata: Where the figures come from; an extra top-level key.
        more: Further top-level keys, such as `parameters`.
    """
    ordered = samples.sort_values(["setting", "sample_id"], kind="stable")
    rows = [_row(row) for row in ordered.to_dict("records")]
    document: dict[str, Any] = {"results": rows}
    if experiment.name == "vision_tokens_vs_latency" and not (metadata.get("details") or {}).get("means"):
        document = {"results": _means(ordered), "all_samples": rows}
    document |= {**(more or {}), "metadata": {"experiment": experiment.name, **metadata}}
    return json_text(document, indent=2)


def _row(row: dict[Any, Any]) -> dict[str, Any]:
    return {**_published_row(row), **knob_fields(row), **measured_fields(row)}


def _published_row(row: dict[Any, Any]) -> dict[str, Any]:
    """The published fields of a row; null where they are not known."""
    width, height = whole_or_none(row.get("image_width")), whole_or_none(row.get("image_height"))
    vision, decode = published_vision(row), plain(row["llm_decode_ms"])
    counts = {field: whole_or_none(row[column]) for field, column in _COUNTS.items()}
    return {
        "image_id": _id(row.get("image_id")),
        "query_id": _id(row.get("query_id")),
        "image_size": None if width is None or height is None else [width, height],
        "grid": None,
        "resolution": None,
        **counts,
        # As the published files have it: the prompt, whose image tokens are counted again.
        "num_total_tokens": plain_sum(counts["num_vision_tokens"], counts[MOTIVATION_PROMPT]),
        "max_new_tokens": None,
        "T_data_processing": plain(row.get("host_preprocessing_ms")),
        "T_vision_encoder": plain(row["vision_encoder_ms"]),
        "T_projector": plain(row["projector_ms"]),
        "T_vision": vision,
        "T_vision_total": vision,
        "T_LLM_prefill": plain(row["llm_prefill_ms"]),
        # Where nothing is decoded, published files have no decode rather than one of no time.
        "T_LLM_decode": None if counts["num_output_tokens"] == 1 and decode == 0 else decode,
        "T_total": plain(row["total_ms"]),
        "T_system_total": plain(row.get("system_total_ms")),
        **{field: plain(row.get(column)) for field, column in FLOPS.items()},
    }


def _id(value: Any) -> int | str | None:
    """An id as files have it: whole numbers as numbers."""
    text = plain(value)
    short = isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) <= 15
    return int(text) if short and str(int(text)) == text else text


def _means(samples: pd.DataFrame) -> list[dict[str, Any]]:
    """A row for each grid, the mean over its samples."""
    rows = []
    for _, group in samples.groupby(["grid_rows", "grid_columns"], sort=True):
        first: dict[Any, Any] = group.iloc[0].to_dict()
        fields = [*LATENCIES.values(), *MORE_LATENCIES.values(), *FLOPS.values()]
        means = {column: group[column].mean() for column in fields if column in group}
        row = first | means | {"image_id": None, "query_id": None, "image_width": None}
        rows.append({**_published_row(row), **knob_fields(row)})
    return rows


# In


def holds_motivation(document: Any) -> bool:
    """Whether a file is one of Motivation: it has `results`, or is a bare list of rows with published latencies."""
    if isinstance(document, dict):
        return "results" in document
    return isinstance(document, list) and any(
        isinstance(row, dict) and any(field in row for field in KNOWN_FIELDS) for row in document
    )


def read_motivation(document: Any, data: bytes, name: str) -> Imported:
    """A Motivation result file, ours or published; also a bare list of its rows.

    Zeros that come from the published subtraction are imported as missing (see `rows.drop_zeros`).

    Args:
        document: What the file holds.
        data: The file's content, which names the run.
        name: What the file is called, for the run and for errors.

    Raises:
        FormatError: It is no such file, or rows of it lack a latency or hold impossible values.
    """
    if isinstance(document, list):
        document = {"results": document}
    rows = document["results"]
    # Ours of experiment 3 hold the samples behind the means.
    samples = document.get("all_samples")
    where = "all_samples" if samples else "results"
    if samples:
        rows = samples
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise FormatError(f"{name} is no Motivation result: {where} must be a list of objects.")
    if not rows:
        raise FormatError(f"{name} holds no result.")
    unknown = [number for number, row in enumerate(rows, start=1) if not any(field in row for field in KNOWN_FIELDS)]
    if unknown:
        raise FormatError(f"{name}: rows {some(unknown)} of {where} have no known field, such as T_total.")
    metadata = read_metadata(document, name)
    experiment = _experiment_of(document, rows, metadata.experiment)
    found = read_rows(rows, name, where, settings=metadata.settings, key=_key)
    details = metadata.details
    if details is None:
        details = read_details({key: document[key] for key in _KEPT_KEYS if key in document}, name)
    if zeros := details.get("zeros", 0) + found.zeros:
        details["zeros"] = zeros
    if experiment.name == "vision_tokens_vs_latency" and not samples:
        details["means"] = True
    return import_records(data, name, experiment.name, found.settings, metadata, details, found.samples)


def _key(knobs: dict[str, Any], number: int) -> Hashable:
    """What tells settings apart; a row that says neither its picture nor its question is one of its own."""
    return tuple(sorted(knobs.items())) if knobs.get("image_id") or knobs.get("query_id") else number


def _experiment_of(document: dict[str, Any], rows: list[dict[str, Any]], named: str | None) -> Motivation:
    """Which experiment a file is of: the one that it names, else by what it holds."""
    if named in MOTIVATION:
        return MOTIVATION[named]

    def known(field: str) -> bool:
        return all(row.get(field) is not None for row in rows)

    def absent(field: str) -> bool:
        return all(row.get(field) is None for row in rows)

    lengths = {str(row.get("max_new_tokens")) for row in rows}
    if any(key.startswith(("correlation", "r_squared", "r2")) for key in document):
        return MOTIVATION["flops_vs_latency"]
    if "parameters" in document:
        return MOTIVATION["component_profiling"]
    if "use_eos_token" in document or (known("max_new_tokens") and (len(lengths) > 1 or not absent("T_LLM_decode"))):
        return MOTIVATION["language_tokens_vs_latency"]
    if known("grid") and absent("image_id") and absent("T_LLM_decode"):
        return MOTIVATION["vision_tokens_vs_latency"]
    if absent("T_LLM_decode") and not absent("T_LLM_prefill"):
        return MOTIVATION["component_profiling"]
    return MOTIVATION["latency_distribution"]
