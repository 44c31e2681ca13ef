"""The published profiling JSON, in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from profcore.errors import FormatError
from profcore.experiments.knobs import CATALOGUE, Experiment
from profcore.formats.fields import LATENCIES, PROFILING_PROMPT, BadValueError, latency, read_knobs
from profcore.formats.metadata import import_records, no_setting_twice, read_metadata, unsupported_percentiles
from profcore.formats.rows import Rows, read_rows, wrong_rows
from profcore.formats.text_files import json_text
from profcore.formats.values import (
    STATISTICS,
    knob_fields,
    mask_fields,
    measured_fields,
    plain,
    published_block,
    published_vision,
    whole_or_none,
    with_grid,
)
from profcore.spec.stages import Knob
from profcore.spec.text import some

if TYPE_CHECKING:
    import pandas as pd

    from profcore.formats.metadata import Imported
    from profcore.storage.lines import Record

_COUNTS = {
    "num_vision_tokens": "num_vision_tokens",
    PROFILING_PROMPT: "num_input_tokens",
    "num_output_tokens": "num_output_tokens",
}


# Out


def profiling_json(
    experiment: Experiment, samples: pd.DataFrame, metadata: dict[str, Any], summaries: pd.DataFrame | None = None
) -> str:
    """A run's results in the published profiling format.

    Args:
        experiment: Which experiment the run is.
        samples: As `Store.sample_table(run_id).to_pandas()` gives them.
        metadata: Where the figures come from; an extra top-level key.
        summaries: As `Store.summaries`, of a run that came without samples.
    """
    if samples.empty and summaries is not None:
        summary, rows = _known_summary(experiment, summaries, metadata.get("settings") or []), []
    else:
        summary = _counted_summary(experiment, samples)
        ordered = samples.sort_values(["setting", "sample_id"])
        rows = [_published_row(experiment, row) for row in ordered.to_dict("records")]
        metadata = {**metadata, **unsupported_percentiles(samples)}
    document = {
        "summary": summary,
        "all_samples": rows,
        "metadata": {"experiment": experiment.name, **metadata},
    }
    return json_text(document, indent=2)


def _counted_summary(experiment: Experiment, samples: pd.DataFrame) -> list[dict[str, Any]]:
    summary = []
    for _, group in samples.groupby("setting", sort=True):
        entry = _setting_fields(experiment, group.iloc[0].to_dict())
        if experiment.blocks is None:
            entry.update(published_block(group["llm_prefill_ms"]))
        else:
            entry.update({name: published_block(group[column]) for name, column in experiment.blocks.items()})
        summary.append(entry)
    return summary


def _known_summary(
    experiment: Experiment, summaries: pd.DataFrame, settings: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """A summary that came without samples, as it came."""
    known = {(row["setting"], row["metric"]): row for row in summaries.to_dict("records")}
    summary = []
    for place, setting in enumerate(settings):
        entry: dict[str, Any] = {}
        for name, column in (experiment.blocks or {"": "llm_prefill_ms"}).items():
            row = known.get((place, column))
            if row:
                block = {key: plain(row[key.lower()]) for key in STATISTICS}
                entry |= {name: block} if name else block
        if entry:
            summary.append({**setting, **entry})
    return summary


def _setting_fields(experiment: Experiment, row: dict[Any, Any]) -> dict[str, Any]:
    """The fields by which a published file names a setting."""
    if experiment.knob is Knob.VISION_TOKENS:
        return {
            **with_grid(row),
            "num_crops": whole_or_none(row["num_crops"]),
            "num_vision_tokens": whole_or_none(row["num_vision_tokens"]),
        }
    if experiment.knob is Knob.ACTIVE_BLOCKS:
        return mask_fields(row)
    return {experiment.field: knob_fields(row)[experiment.field]}


def _published_row(experiment: Experiment, row: dict[Any, Any]) -> dict[str, Any]:
    fields = {**measured_fields(row), **_setting_fields(experiment, row)}
    fields.update({name: plain(row[column]) for name, column in LATENCIES.items()})
    fields["T_vision_total"] = published_vision(row)
    fields["T_data_processing"] = plain(row.get("host_preprocessing_ms"))
    fields["T_system_total"] = plain(row.get("system_total_ms"))
    fields["num_crops"] = whole_or_none(row["num_crops"])
    fields.update({name: whole_or_none(row[column]) for name, column in _COUNTS.items()})
    return {**fields, **knob_fields(row)}


# In


def read_profiling(document: Any, data: bytes, name: str) -> Imported:
    """A profiling result file, ours or published; also the older bare list, which holds the summary alone.

    Zeros that come from the published subtraction are imported as missing (see `rows.drop_zeros`).

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
    metadata = read_metadata(document, name)
    experiment = _experiment_of([*rows, *summary], metadata.experiment, name)
    if rows:
        found = read_rows(rows, name, "all_samples", settings=metadata.settings)
        if metadata.settings is None:
            _add_unsampled(found, summary, experiment, name)
    else:
        found = _read_summary(summary, experiment, metadata.settings, name)
    details = dict(metadata.details or {})
    if zeros := details.get("zeros", 0) + found.zeros:
        details["zeros"] = zeros
    _check_knob(experiment, found.settings, name)
    return import_records(data, name, experiment.name, found.settings, metadata, details, found.samples)


def _experiment_of(rows: list[dict[str, Any]], named: str | None, name: str) -> Experiment:
    """The experiment that the file names, else the one whose field every row has."""
    candidates = [CATALOGUE[named]] if named in CATALOGUE else list(CATALOGUE.values())
    having = {each.name: [row.get(each.field) is not None for row in rows] for each in candidates}
    for experiment in candidates:
        if all(having[experiment.name]):
            return experiment
    for experiment in candidates:
        lacking = [number for number, has in enumerate(having[experiment.name], start=1) if not has]
        if len(lacking) < len(rows) or len(candidates) == 1:
            raise FormatError(f"{name}: rows {some(lacking)} lack the field {experiment.field}.")
    fields = ", ".join(experiment.field for experiment in CATALOGUE.values())
    raise FormatError(f"{name} is no profiling result: its rows have none of the fields {fields}.")


def _check_knob(experiment: Experiment, settings: list[dict[str, Any]], name: str) -> None:
    """Whether every setting says where its knob stands."""
    lacking = [place for place, each in enumerate(settings) if experiment.setting_column not in each]
    if lacking:
        raise FormatError(f"{name}: settings {some(lacking)} lack their {experiment.field}.")


def _add_unsampled(found: Rows, summary: list[dict[str, Any]], experiment: Experiment, name: str) -> None:
    """Add the settings that the summary alone names."""
    wrong: dict[str, list[int]] = {}
    for number, entry in enumerate(summary, start=1):
        try:
            knobs = read_knobs(entry)
        except BadValueError as error:
            wrong.setdefault(str(error), []).append(number)
            continue
        if not any(_agree(knobs, setting) for setting in found.settings):
            found.settings.append(knobs)
    if wrong:
        raise wrong_rows(name, "summary", wrong)


def _agree(knobs: dict[str, Any], setting: dict[str, Any]) -> bool:
    return all(setting.get(column, value) == value for column, value in knobs.items())


def _read_summary(
    summary: list[dict[str, Any]], experiment: Experiment, settings: list[dict[str, Any]] | None, name: str
) -> Rows:
    """A summary without samples: a setting for each entry."""
    found = Rows(settings=list(settings or ()))
    wrong: dict[str, list[int]] = {}
    places: list[int] = []
    for number, entry in enumerate(summary, start=1):
        try:
            knobs = read_knobs(entry)
            known = found.settings
            place = next((place for place, each in enumerate(known) if each == knobs), len(known))
            records = [
                {"type": "summary", "setting": place, "metric": column, **_read_block(block)}
                for column, block in _blocks(experiment, entry).items()
            ]
        except BadValueError as error:
            wrong.setdefault(str(error), []).append(number)
            continue
        if place == len(known):
            known.append(knobs)
        places.append(place)
        found.samples += records
    if wrong:
        raise wrong_rows(name, "summary", wrong)
    no_setting_twice(name, "summary", places)
    return found


def _blocks(experiment: Experiment, entry: dict[str, Any]) -> dict[str, Any]:
    """An entry's statistics blocks by the column that they describe."""
    if experiment.blocks is None:
        return {"llm_prefill_ms": entry}
    return {column: entry.get(block) for block, column in experiment.blocks.items()}


def _read_block(block: Any) -> Record:
    if not isinstance(block, dict) or block.get("P50") is None:
        raise BadValueError("they lack their statistics, such as P50")
    return {key: latency(key, block[key]) for key in STATISTICS if block.get(key) is not None}
