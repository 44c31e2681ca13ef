"""The published profiling JSON, in and out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from profcore.errors import FormatError
from profcore.experiments.knobs import CATALOGUE, Experiment
from profcore.formats.common import (
    STATISTICS,
    Origin,
    ResultFile,
    import_records,
    kept_details,
    plain,
    plain_sum,
    published_block,
    read_origin,
    too_few,
)
from profcore.formats.rows import (
    COUNTS,
    STAGE_LATENCIES,
    own_fields,
    read_latency,
    read_rows,
    read_setting,
    setting_fields,
)
from profcore.spec.stages import Knob
from profcore.spec.text import some

if TYPE_CHECKING:
    import pandas as pd

    from profcore.storage.spool import Record

PROFILING_COUNTS = {**COUNTS, "num_input_text_tokens": "num_input_tokens"}


# Out


def profiling_json(experiment: Experiment, samples: pd.DataFrame, metadata: dict[str, Any]) -> str:
    """A run's results in the published profiling format.

    Args:
        experiment: Which experiment the run is.
        samples: As `Store.sample_table(run_id).to_pandas()` gives them.
        metadata: Where the figures come from; an extra top-level key.
    """
    summary, sizes = [], []
    for _, group in samples.groupby("setting", sort=True):
        entry = _setting_entry(experiment, group.iloc[0].to_dict())
        if experiment.blocks is None:
            entry.update(published_block(group["llm_prefill_ms"]))
        else:
            entry.update({name: published_block(group[column]) for name, column in experiment.blocks.items()})
        summary.append(entry)
        sizes.append(len(group))
    ordered = samples.sort_values(["setting", "sample_id"])
    rows = [_published_row(experiment, row) for row in ordered.to_dict("records")]
    document = {"summary": summary, "all_samples": rows, "metadata": {**metadata, **too_few(sizes)}}
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)


def _setting_entry(experiment: Experiment, row: dict[Any, Any]) -> dict[str, Any]:
    """The fields by which a published file names a setting, the experiment's own knob first; the others follow."""
    fields = setting_fields(row)
    named = {experiment.field: fields[experiment.field]}
    if experiment.knob is Knob.VISION_TOKENS:
        named |= {
            "resolution": fields["resolution"],
            "num_crops": plain(row["num_crops"]),
            "num_vision_tokens": plain(row["num_vision_tokens"]),
        }
    return named | {field: value for field, value in fields.items() if value is not None and field not in named}


def _published_row(experiment: Experiment, row: dict[Any, Any]) -> dict[str, Any]:
    vision = plain_sum(row["vision_encoder_ms"], row["projector_ms"])
    if vision is None:
        vision = plain(row.get("vision_total_ms"))
    fields = {"sample_id": int(row["sample_id"]), "setting": int(row["setting"]), **_setting_entry(experiment, row)}
    fields.update({name: plain(row[column]) for name, column in STAGE_LATENCIES.items()})
    fields["T_vision_total"] = vision
    fields["T_other"] = plain(row["other_ms"])
    fields.update({name: plain(row[column]) for name, column in PROFILING_COUNTS.items()})
    return fields | own_fields(row)


# In


def read_profiling(document: Any, data: bytes, name: str) -> ResultFile:
    """A profiling result file, ours or published; also the older bare list, which holds the summary alone.

    Zeros that come from the published subtraction are taken in as missing (see `rows.drop_zeros`).

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
    experiment = _experiment_of([*rows, *summary], name)
    origin = read_origin(document, experiment.name)
    settings = _Settings(experiment, origin)
    samples, zeros = read_rows(rows, name, "all_samples", PROFILING_COUNTS, settings.of_row)
    records = samples or _read_summary(summary, experiment, settings, name)
    details = {**kept_details(origin), **({"zeros": zeros} if zeros else {})}
    return import_records(data, name, experiment.name, settings.rows, origin, details, records)


def _experiment_of(rows: list[dict[str, Any]], name: str) -> Experiment:
    """The experiment whose field every row has; of several, the one that the rows name first."""
    fields = {experiment.field: experiment for experiment in CATALOGUE.values()}
    having = {field: [row.get(field) is not None for row in rows] for field in fields}
    everywhere = [field for field, has in having.items() if all(has)]
    if everywhere:
        # Our own rows name every knob, and the one that was turned before the others.
        return fields[min(everywhere, key=list(rows[0]).index)]
    for field, has in having.items():
        if any(has):
            lacking = [number for number, known in enumerate(has, start=1) if not known]
            raise FormatError(f"{name}: rows {some(lacking)} lack the field {field}.")
    raise FormatError(f"{name} is no profiling result: its rows have none of the fields {', '.join(fields)}.")


class _Settings:
    """The settings of a file: those of the run that it was written from, else those that its rows name.

    Attributes:
        rows: The settings, as the database keeps them.
    """

    def __init__(self, experiment: Experiment, origin: Origin) -> None:
        self._experiment, self._origin = experiment, origin
        self.rows = list(origin.settings)
        self._known: dict[tuple[Any, ...], int] = {}

    def of_row(self, number: int, row: dict[str, Any]) -> int:
        """The setting of a row.

        Raises:
            ValueError: It names none, or one that cannot be.
        """
        del number
        if self._origin.spec:
            return self._origin.setting(row.get("setting"))
        found = read_setting(row)
        column = _SETTING_COLUMN[self._experiment.knob]
        if column not in found:
            raise ValueError("no setting")
        key = tuple(sorted(found.items()))
        if key not in self._known:
            self._known[key] = len(self.rows)
            self.rows.append(found)
        return self._known[key]


_SETTING_COLUMN = {
    Knob.VISION_TOKENS: "grid_columns",
    Knob.TOP_K: "top_k",
    Knob.ACTIVE_BLOCKS: "active_blocks",
    Knob.OUTPUT_TOKENS: "output_tokens",
}


def _read_summary(
    summary: list[dict[str, Any]], experiment: Experiment, settings: _Settings, name: str
) -> list[Record]:
    records: list[Record] = []
    wrong = []
    for number, entry in enumerate(summary, start=1):
        blocks = (
            {"llm_prefill_ms": entry}
            if experiment.blocks is None
            else {column: entry.get(block) for block, column in experiment.blocks.items()}
        )
        try:
            setting = settings.of_row(number, entry)
            for column, block in blocks.items():
                records.append({"type": "summary", "setting": setting, "metric": column, **_statistics(block)})
        except (KeyError, TypeError, ValueError, OverflowError):
            wrong.append(number)
    if wrong:
        raise FormatError(
            f"{name}: rows {some(wrong)} of summary lack their statistics, or have one below 0, or no value of "
            f"{experiment.field}."
        )
    return records


def _statistics(block: Any) -> dict[str, float | None]:
    """A statistics block's values.

    Raises:
        ValueError: One is no number of 0 or more.
        KeyError: The median is missing.
        TypeError: It is no block.
    """
    statistics = {key: read_latency(block[key]) for key in STATISTICS if key in block}
    if statistics["P50"] is None:
        raise ValueError("no median")
    return statistics
