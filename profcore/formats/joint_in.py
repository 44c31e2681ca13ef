"""One file of joint results as settings and samples: layout A, and the accuracy and latency files of layout B."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from profcore.errors import FormatError
from profcore.experiments.knobs import JOINT
from profcore.formats.fields import (
    LATENCIES,
    MEASURED,
    MORE_LATENCIES,
    ROW,
    TELEMETRY_FIELDS,
    BadValueError,
    Field,
    at_least_one,
    count,
    latency,
    number,
    read_fields,
    read_knobs,
    read_tier,
    shown,
)
from profcore.formats.rows import drop_known_sum, drop_zeros, wrong_rows
from profcore.images.geometry import CROP_TOKENS

if TYPE_CHECKING:
    from profcore.storage.lines import Record

Knobs = dict[str, Any]

_A, _B_LATENCIES, _B_SCORES = "per_sample_results", "per_sample_latencies", "all_samples"
_KNOBS = ("top_k", "num_active_blocks")
_OWN_ROW = ROW + MEASURED + TELEMETRY_FIELDS
_OF_A = (
    *(Field(name, column, latency) for name, column in {**LATENCIES, **MORE_LATENCIES}.items()),
    Field("output_tokens", "num_output_tokens", count),
    Field("actual_vision_tokens", "num_vision_tokens", count),
    Field("total_sequence_length", "num_input_tokens", count),
)
_OF_B = (
    Field("T_total_ms", "total_ms", latency),
    # Vision and prefill together, up to the first token.
    Field("T_prefill_ms", "first_token_ms", latency),
    Field("T_decode_ms", "llm_decode_ms", latency),
    Field("num_vision_tokens", "num_vision_tokens", count),
    Field("num_language_tokens", "num_input_tokens", count),
    Field("num_output_tokens", "num_output_tokens", count),
)
_score = number(1.0 + 1e-9)
_KNOWN = frozenset(("vision_total_ms", "llm_prefill_ms", "llm_decode_ms", "total_ms", "first_token_ms"))
_TELEMETRY = frozenset(each.column for each in TELEMETRY_FIELDS)


@dataclass
class JointRow:
    """A row of a file.

    Attributes:
        key: What the file calls it; None where it does not.
        sample: What it says of a sample; None where it has no latency.
        score: Whether its answer was right, 0 to 1; None where that is not said.
        setting: The place of its setting, where the file is this project's and says it.
    """

    key: Any
    sample: Record | None
    score: float | None
    setting: int | None = None


@dataclass
class JointFile:
    """What a file of one setting holds.

    Attributes:
        knobs: Of its setting, by the database's columns.
        rows: Its rows in their order.
        accuracy: The mean over its questions, where the file says it.
        questions: How many these are.
        zeros: Latencies of 0 that are missing values.
        metadata: What this project's file says beside its rows.
    """

    knobs: Knobs
    rows: list[JointRow]
    accuracy: float | None = None
    questions: int = 0
    zeros: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)


def holds_joint(document: Any) -> bool:
    """Whether a file is one of joint results: rows of one setting that several knobs tell."""
    if not isinstance(document, dict):
        return False
    if isinstance(document.get(_A), list):
        return all(name in document for name in _KNOBS)
    summary = document.get("summary")
    rows = document.get(_B_LATENCIES, document.get(_B_SCORES))
    entry = summary[0] if isinstance(summary, list) and len(summary) == 1 else None
    return (
        isinstance(rows, list) and isinstance(entry, dict) and "max_crops" in entry and all(n in entry for n in _KNOBS)
    )


def read_joint_file(document: dict[str, Any], name: str) -> JointFile:
    """What a file of joint results holds.

    Args:
        document: As `holds_joint`.
        name: What the file is called, for errors.

    Raises:
        FormatError: Its knobs or rows hold what they cannot; the first few are named.
    """
    apart = _A not in document
    top = document["summary"][0] if apart else document
    where = _A if not apart else _B_LATENCIES if _B_LATENCIES in document else _B_SCORES
    rows = document[where]
    try:
        knobs = _knobs(top)
        accuracy = _optional(top.get("accuracy"))
        questions = count("num_samples", top["num_samples"]) if top.get("num_samples") is not None else 0
    except BadValueError as error:
        raise FormatError(f"{name}: {error}.") from None
    found = JointFile(knobs, [], accuracy, questions)
    given = document.get("metadata")
    own = isinstance(given, dict) and given.get("experiment") == JOINT.name
    found.metadata = given if isinstance(given, dict) and own else {}
    wrong: dict[str, list[int]] = {}
    for place, row in enumerate(rows, start=1):
        try:
            if not isinstance(row, dict):
                raise BadValueError("they are no objects")
            _check_row(row, top)
            made = _row_of_b(row) if apart else _row_of_a(row, own)
        except BadValueError as error:
            wrong.setdefault(str(error), []).append(place)
            continue
        if made.sample is not None:
            found.zeros += drop_zeros(made.sample)
        found.rows.append(made)
    if wrong:
        raise wrong_rows(name, where, wrong)
    if not found.rows and accuracy is None:
        raise FormatError(f"{name} holds no result: {where} is empty.")
    return found


def _knobs(top: dict[str, Any]) -> Knobs:
    """Where the knobs of a file's setting stand; the number of its blocks alone says no mask."""
    given = dict(top)
    if not given.get("active_block_indices") or given.get("num_total_blocks") is None:
        given["active_block_indices"] = None
    # A file of others may name its grid otherwise.
    given["grid"] = given.get("grid") if isinstance(given.get("grid"), str) else None
    knobs = read_knobs({name: given.get(name) for name in _KNOB_FIELDS}) | read_tier(given)
    for name, column in (("top_k", "top_k"), ("num_active_blocks", "active_blocks")):
        if column not in knobs:
            raise BadValueError(f"{name} is missing")
    return knobs


_KNOB_FIELDS = ("top_k", "num_active_blocks", "active_block_indices", "num_total_blocks", "max_new_tokens", "grid")


def _check_row(row: dict[str, Any], top: dict[str, Any]) -> None:
    """Whether a row is of its file's setting."""
    for name in _KNOBS:
        if row.get(name) is not None and row[name] != top[name]:
            raise BadValueError(f"their {name} {shown(row[name])} is not the file's {shown(top[name])}")


def _optional(value: Any) -> float | None:
    return None if value is None else _score("accuracy", value)


def _row_of_a(row: dict[str, Any], own: bool) -> JointRow:
    """A row of layout A; of this project's files it says more."""
    sample = read_fields(row, _OF_A)
    if own:
        sample |= read_fields(row, _OWN_ROW)
        if telemetry := {name: sample.pop(name) for name in _TELEMETRY & sample.keys()}:
            sample["telemetry"] = telemetry
    if sample.get("num_output_tokens") == 0:
        # A file may count those before the end of text; a first token there always is.
        sample["num_output_tokens"] = 1
    if "num_input_tokens" not in sample and row.get("actual_text_tokens") is not None:
        text = count("actual_text_tokens", row["actual_text_tokens"])
        sample["num_input_tokens"] = text + sample.get("num_vision_tokens", 0)
    if row.get("actual_num_crops") is not None:
        sample["num_crops"] = _with_global_view(row)
    if row.get("T_decode_per_step") is not None:
        sample["decode_steps_ms"] = _steps(row["T_decode_per_step"])
    if sample.get("num_output_tokens") == 1:
        sample.setdefault("llm_decode_ms", 0.0)
    drop_known_sum(sample)
    place = row.get("setting") if own else None
    return JointRow(_key(row), sample if _KNOWN & sample.keys() else None, _optional(row.get("accuracy")), place)


def _with_global_view(row: dict[str, Any]) -> int:
    """The crops that the vision encoder sees, which a file counts with the global view or, as most do, without it."""
    crops = at_least_one("actual_num_crops", row["actual_num_crops"])
    return crops if row.get("target_vision_tokens") == crops * CROP_TOKENS**2 else crops + 1


def _steps(value: Any) -> list[float]:
    """The latency of each decode step; the mean over its runs where it was run several times."""
    if not isinstance(value, list):
        raise BadValueError(f"T_decode_per_step {shown(value)} is no list")
    return [_step(each) for each in value]


def _step(runs: Any) -> float:
    if isinstance(runs, list) and len(runs) == 1:
        return latency("a value of T_decode_per_step", runs[0])
    if not isinstance(runs, list):
        return latency("a value of T_decode_per_step", runs)
    if not runs:
        raise BadValueError("a step of T_decode_per_step has no run")
    return sum(latency("a value of T_decode_per_step", run) for run in runs) / len(runs)


def _row_of_b(row: dict[str, Any]) -> JointRow:
    sample = read_fields(row, _OF_B)
    if sample.get("num_output_tokens") == 0:
        sample["num_output_tokens"] = 1
    score = row.get("score") if row.get("score") is not None else row.get("accuracy")
    return JointRow(_key(row), sample if _KNOWN & sample.keys() else None, _optional(score))


def _key(row: dict[str, Any]) -> Any:
    key = row.get("sample_id")
    return key if isinstance(key, int | str) and not isinstance(key, bool) else None
