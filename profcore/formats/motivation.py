"""The published Motivation JSON, in and out: `{"results": [...]}`, a row for each picture and question."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from profcore.errors import FormatError
from profcore.experiments.motivation import MOTIVATION, Motivation
from profcore.formats.common import (
    Origin,
    ResultFile,
    import_records,
    kept_details,
    plain,
    plain_sum,
    read_origin,
)
from profcore.formats.rows import (
    COUNTS,
    FLOPS,
    LATENCIES,
    own_fields,
    read_count,
    read_rows,
    read_setting,
    setting_fields,
)
from profcore.spec.text import some

MOTIVATION_COUNTS = {**COUNTS, "num_language_tokens": "num_input_tokens"}
# What tells that a row is one of Motivation: any of these.
KNOWN_FIELDS = (*LATENCIES, "T_vision")
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
    # Rows that came as means are all there is; means of them would say no more.
    if experiment.name == "vision_tokens_vs_latency" and not (metadata.get("details") or {}).get("means"):
        document = {"results": _means(ordered), "all_samples": rows}
    document |= {**(more or {}), "metadata": {"experiment": experiment.name, **metadata}}
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def _row(row: dict[Any, Any]) -> dict[str, Any]:
    width, height = plain(row.get("image_width")), plain(row.get("image_height"))
    vision = plain_sum(row["vision_encoder_ms"], row["projector_ms"])
    if vision is None:
        vision = plain(row.get("vision_total_ms"))
    decodes = (plain(row["num_output_tokens"]) or 2) > 1
    tokens = plain(row["num_vision_tokens"]), plain(row["num_input_tokens"])
    return {
        "setting": plain(row.get("setting")),
        "image_id": _id(row.get("image_id")),
        "query_id": _id(row.get("query_id")),
        "image_size": None if width is None else [int(width), int(height)],
        **setting_fields(row),
        "num_crops": plain(row["num_crops"]),
        "num_vision_tokens": tokens[0],
        "num_language_tokens": tokens[1],
        # As the published files have it: the prompt, whose image tokens are counted again.
        "num_total_tokens": plain_sum(*tokens),
        "num_output_tokens": plain(row["num_output_tokens"]),
        "T_data_processing": plain(row.get("processing_ms")),
        "T_vision_encoder": plain(row["vision_encoder_ms"]),
        "T_projector": plain(row["projector_ms"]),
        "T_vision": vision,
        "T_vision_total": vision,
        "T_LLM_prefill": plain(row["llm_prefill_ms"]),
        # Where nothing is decoded, published files have no decode rather than one of no time.
        "T_LLM_decode": plain(row["llm_decode_ms"]) if decodes else None,
        "T_total": plain(row["total_ms"]),
        "T_system_total": plain(row.get("system_total_ms")),
        "T_other": plain(row.get("other_ms")),
        **{field: plain(row.get(column)) for field, column in FLOPS.items()},
        **own_fields(row),
    }


def _id(value: Any) -> int | str | None:
    """An id as files have it: whole numbers as numbers."""
    text = plain(value)
    return int(text) if isinstance(text, str) and text.isdecimal() and str(int(text)) == text else text


def _means(samples: pd.DataFrame) -> list[dict[str, Any]]:
    """A row for each grid, the mean over its samples."""
    rows = []
    for _, group in samples.groupby(["grid_rows", "grid_columns"], sort=True):
        first: dict[Any, Any] = group.iloc[0].to_dict()
        fields = [*LATENCIES.values(), *FLOPS.values()]
        means = {column: group[column].mean() for column in fields if column in group}
        mean = _row(first | means | {"image_id": None, "query_id": None, "image_width": None})
        # What is one sample's alone is not a mean's.
        alone = {"setting", *own_fields(first)}
        rows.append({field: value for field, value in mean.items() if field not in alone})
    return rows


# In


def holds_motivation(document: Any) -> bool:
    """Whether a file is one of Motivation: it has `results`, or is a bare list of rows with published latencies."""
    if isinstance(document, dict):
        return "results" in document
    return isinstance(document, list) and any(
        isinstance(row, dict) and any(field in row for field in KNOWN_FIELDS) for row in document
    )


def read_motivation(document: Any, data: bytes, name: str) -> ResultFile:
    """A Motivation result file, ours or published; also a bare list of its rows.

    Zeros that come from the published subtraction are taken in as missing (see `rows.drop_zeros`).

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
    experiment = _experiment_of(document, rows)
    origin = read_origin(document, experiment.name)
    settings = _Settings(origin)
    records, zeros = read_rows(rows, name, where, MOTIVATION_COUNTS, settings.of_row)
    for record in records:
        if record.get("num_output_tokens") == 1 and "llm_decode_ms" not in record:
            record["llm_decode_ms"] = 0.0
    details = kept_details(origin) | {key: document[key] for key in _KEPT_KEYS if key in document}
    if zeros:
        details["zeros"] = zeros
    if experiment.name == "vision_tokens_vs_latency" and not samples:
        details["means"] = True
    return import_records(data, name, experiment.name, settings.rows, origin, details, records)


def _experiment_of(document: dict[str, Any], rows: list[dict[str, Any]]) -> Motivation:
    """Which experiment a file is of, by what it holds."""
    metadata = document.get("metadata")
    named = metadata.get("experiment") if isinstance(metadata, dict) else None
    if isinstance(named, str) and named in MOTIVATION:
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


class _Settings:
    """The settings of a file: those of the run that it was written from, else those that its rows name.

    Attributes:
        rows: The settings, as the database keeps them.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self.rows = list(origin.settings)
        self._known: dict[Any, int] = {}

    def of_row(self, number: int, row: dict[str, Any]) -> int:
        """The setting of a row; one that says neither its picture nor its question is one of its own.

        Raises:
            ValueError: It names one that cannot be.
        """
        if self._origin.spec:
            return self._origin.setting(row.get("setting"))
        found = {**read_setting(row), **_read_query(row)}
        key = tuple(sorted(found.items())) if found.keys() & {"image_id", "query_id"} else number
        if key not in self._known:
            self._known[key] = len(self.rows)
            self.rows.append(found)
        return self._known[key]


def _read_query(row: dict[str, Any]) -> dict[str, Any]:
    """What a row says of its picture and question.

    Raises:
        ValueError: A size is no two counts, or an id neither text nor number.
    """
    found: dict[str, Any] = {}
    for field in ("image_id", "query_id"):
        value = row.get(field)
        if isinstance(value, bool) or not isinstance(value, str | int | float | None):
            raise ValueError("no id")
        if value is not None:
            found[field] = str(read_count(value)) if isinstance(value, float) else str(value)
    size = row.get("image_size")
    if size is not None:
        if not isinstance(size, list) or len(size) != 2:
            raise ValueError("no size")
        width, height = (read_count(side) for side in size)
        if not width or not height:
            raise ValueError("no size")
        found |= {"image_width": width, "image_height": height}
    return found
