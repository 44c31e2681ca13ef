"""The `metadata` of this project's result files: what a run was, beside its rows, so that it reads back as it was."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore.errors import FormatError, UserError
from profcore.formats.fields import BadValueError, count, read_knobs, read_tier
from profcore.formats.values import mask_fields, plain, tier_fields, whole_or_none, with_grid
from profcore.spec.records import ENERGY_COLUMNS, WORK_COLUMNS, now
from profcore.spec.runs import RunSpec
from profcore.spec.stages import State
from profcore.spec.text import some, whole_text
from profcore.stats import SMALLEST_FOR_P95, SMALLEST_FOR_P99

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from profcore.storage.lines import Record

_REASONS = {"quality_failed": "quality_failed", "energy_failed": "energy_failed", "setting_failed": "failed"}
_PLACE = ("number", "shard", "from_sample", "host", "card", "device", "refused", "set_aside")
_LEAST = {"P95": SMALLEST_FOR_P95, "P99": SMALLEST_FOR_P99}
_KEPT = (
    "zeros",
    "scaling",
    "means",
    "parameters",
    "average_latencies",
    "use_eos_token",
    "correlation",
    "r_squared",
    "notes",
)


@dataclass(frozen=True)
class Imported:
    """A result file as records of a spool.

    Attributes:
        run_id: Follows from the file's content, so that a file imported twice is one run.
        zeros: Zeros that are missing values by the published method (see `rows.drop_zeros`).
        notes: What else a person should know of it, in sentences.
    """

    run_id: str
    records: list[Record]
    zeros: int
    notes: tuple[str, ...] = ()


# Out


def written_settings(settings: pd.DataFrame) -> list[dict[str, Any]]:
    """A run's settings as result files list them; what is not known of one is left out.

    Args:
        settings: As `Store.settings`.
    """
    return [_written_setting(row) for row in settings.sort_values("setting").to_dict("records")]


def _written_setting(row: dict[Any, Any]) -> dict[str, Any]:
    routed = row.get("prefill_experts")
    fields = {
        **with_grid(row),
        "top_k": whole_or_none(row.get("top_k")),
        **mask_fields(row),
        "max_new_tokens": whole_or_none(row.get("output_tokens")),
        "image_id": plain(row.get("image_id")),
        "query_id": plain(row.get("query_id")),
        "image_size": _size(row),
        **tier_fields(row),
        "prefill_experts": [int(each) for each in routed] if isinstance(routed, list | np.ndarray) else None,
        "kl": plain(row.get("kl")),
        "accuracy": plain(row.get("accuracy")),
        "quality_queries": whole_or_none(row.get("quality_queries")),
        "quality_scores": _numbers(row.get("quality_scores")),
        "quality_failed": plain(row.get("quality_failed")),
        "energy": _energy(row),
        "energy_failed": plain(row.get("energy_failed")),
        "work": _work(row),
        "failed": plain(row.get("failed")),
        "stopped_by": plain(row.get("stopped_by")),
        "answer": plain(row.get("answer")),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _energy(row: dict[Any, Any]) -> dict[str, Any] | None:
    """A setting's joules; None where they were not measured."""
    if plain(row.get("energy_method")) is None:
        return None
    found = {field: plain(row.get(column)) for field, column in ENERGY_COLUMNS.items()}
    return {field: value for field, value in found.items() if value is not None}


def _work(row: dict[Any, Any]) -> dict[str, Any] | None:
    """A setting's FLOPs and bytes as counted; None where they were not."""
    found = {column: plain(row.get(column)) for column in WORK_COLUMNS}
    return found if found[WORK_COLUMNS[0]] is not None else None


def _numbers(values: Any) -> list[float] | None:
    return [float(each) for each in values] if isinstance(values, list | np.ndarray) else None


def _size(row: dict[Any, Any]) -> list[int] | None:
    width, height = whole_or_none(row.get("image_width")), whole_or_none(row.get("image_height"))
    return None if width is None or height is None else [width, height]


def written_environments(environments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The environments of a run that has several, each with what tells it from the others; else nothing.

    Args:
        environments: As `Reader.environments`.
    """
    found = [{name: each[name] for name in _PLACE if each.get(name) is not None} for each in environments]
    return {"environments": found} if found else {}


def unsupported_percentiles(samples: pd.DataFrame) -> dict[str, Any]:
    """Which percentiles of a file its samples do not support, though the format has them; empty where all are.

    Args:
        samples: With `setting`.
    """
    sizes = samples.groupby("setting").size()
    found = {}
    for name, least in _LEAST.items():
        few = sizes[sizes < least]
        if len(few):
            found[name] = {
                "note": f"{name} needs {least} samples, and these settings have fewer: do not quote it.",
                "settings": [int(setting) for setting in few.index],
                "samples": [int(number) for number in few],
            }
    return {"unsupported_percentiles": found} if found else {}


# In


@dataclass
class Metadata:
    """What a file's `metadata` says of its run.

    Attributes:
        experiment: The experiment's name; None where it is not said.
        spec: The run's spec, as `RunSpec.to_dict`.
        settings: What each setting is known to be, by the database's columns; None where they are not listed.
        records: Environment, ceilings, end and what else is known of settings, as a spool has them.
        details: As in `Store.run`; None where it is not said.
    """

    experiment: str | None = None
    spec: dict[str, Any] | None = None
    settings: list[dict[str, Any]] | None = None
    records: list[Record] = field(default_factory=list)
    details: dict[str, Any] | None = None


def read_metadata(document: dict[str, Any], name: str) -> Metadata:
    """What a file says of its run beside its rows; what others write there and is not known here is passed over.

    Raises:
        FormatError: A part of it cannot be what it is called.
    """
    given = document.get("metadata")
    if not isinstance(given, dict):
        return Metadata()
    found = Metadata()
    environment = given.get("environment")
    if isinstance(environment, dict):
        found.records.append({"type": "environment", "values": environment})
    if isinstance(given.get("environments"), list) and given["environments"]:
        found.records.append({"type": "environments", "places": given["environments"]})
    ceilings = given.get("ceilings")
    if isinstance(ceilings, dict) and ceilings:
        if "type" in ceilings:
            raise FormatError(f"{name}: the ceilings in its metadata are not those that this version knows.")
        found.records.append({"type": "ceilings", **ceilings})
    found.spec = _read_spec(given, name)
    if isinstance(given.get("settings"), list):
        found.settings = _read_settings(given["settings"], found.records, name)
    found.records += _read_end(given)
    if isinstance(given.get("details"), dict):
        found.details = read_details(given["details"], name)
    named = given.get("experiment")
    found.experiment = found.spec["sweep"]["experiment"] if found.spec else named if isinstance(named, str) else None
    return found


def read_details(given: dict[str, Any], name: str) -> dict[str, Any]:
    """What is kept of what a file says beyond its rows.

    Raises:
        FormatError: The number of zeros is none.
    """
    details = {key: given[key] for key in _KEPT if given.get(key) is not None}
    try:
        if "zeros" in details:
            details["zeros"] = count("zeros", details["zeros"])
        for key in ("scaling", "means", "use_eos_token"):
            if type(details.get(key, True)) is not bool:
                raise BadValueError(f"{key} is neither true nor false")
        if not isinstance(details.get("notes", []), list) or not all(
            isinstance(note, str) for note in details.get("notes", [])
        ):
            raise BadValueError("notes is no list of texts")
        json.dumps(details, allow_nan=False)
    except BadValueError as error:
        raise FormatError(f"{name}: {error}.") from None
    except ValueError:
        raise FormatError(f"{name} holds a number without end beside its rows: give finite ones.") from None
    return details


def _read_spec(given: dict[str, Any], name: str) -> dict[str, Any] | None:
    run = given.get("run")
    spec = given.get("spec") or (run if isinstance(run, dict) and "sweep" in run else None)
    if not spec:
        return None
    try:
        # Written anew, so that every number in it is of the kind that it has in a run.
        plain_spec = RunSpec.from_dict(spec).to_dict()
        json.dumps(plain_spec, allow_nan=False)
    except (UserError, KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError):
        raise FormatError(f"{name}: the spec in its metadata is no run that this version knows.") from None
    return plain_spec


def _read_settings(given: list[Any], records: list[Record], name: str) -> list[dict[str, Any]]:
    """The settings that a file lists; what else is known of each is added to the records."""
    settings, wrong = [], []
    for place, each in enumerate(given):
        try:
            if not isinstance(each, dict):
                raise BadValueError("it is no object")
            settings.append(read_knobs(each) | read_tier(each))
        except BadValueError as error:
            wrong.append(f"setting {place}: {error}")
            continue
        if "prefill_experts" in each:
            records.append({"type": "routing", "setting": place, "prefill_experts": each["prefill_experts"]})
        if "quality_queries" in each:
            quality = {"kl": each.get("kl"), "accuracy": each.get("accuracy"), "queries": each["quality_queries"]}
            if "quality_scores" in each:
                quality["scores"] = each["quality_scores"]
            records.append({"type": "quality", "setting": place, **quality})
        if "energy" in each:
            given_energy = each["energy"] if isinstance(each["energy"], dict) else {}
            records.append(
                {"type": "energy", "setting": place, **{name: given_energy.get(name) for name in ENERGY_COLUMNS}}
            )
        if "work" in each:
            given_work = each["work"] if isinstance(each["work"], dict) else {}
            records.append({"type": "work", "setting": place, **{name: given_work.get(name) for name in WORK_COLUMNS}})
        for kind, key in _REASONS.items():
            if key in each:
                records.append({"type": kind, "setting": place, "reason": each[key]})
        if "stopped_by" in each:
            records.append({"type": "setting_ended", "setting": place, "by": each["stopped_by"]})
        if "answer" in each:
            records.append({"type": "answer", "setting": place, "text": each["answer"]})
    if wrong:
        raise FormatError(f"{name}: the settings in its metadata cannot be: {'; '.join(wrong[:3])}.")
    return settings


def _read_end(given: dict[str, Any]) -> list[Record]:
    """How the run ended, where it did not end well."""
    run = given.get("run")
    state = run.get("state") if isinstance(run, dict) else None
    if not isinstance(run, dict) or state not in set(State) or state == State.DONE:
        return []
    if not State(state).ended:
        return [
            {
                "type": "state",
                "state": str(State.STOPPED),
                "reason": "The file was written before its end.",
                "at": now(),
            }
        ]
    return [{"type": "state", "state": state, "reason": run.get("reason"), "at": now()}]


def import_records(
    data: bytes,
    name: str,
    experiment: str,
    settings: list[dict[str, Any]],
    metadata: Metadata,
    details: dict[str, Any],
    rows: list[Record],
) -> Imported:
    """The records that a result file becomes.

    Raises:
        FormatError: Its spec is of another experiment.
    """
    if metadata.spec and metadata.spec["sweep"]["experiment"] != experiment:
        raise FormatError(f"{name}: its rows are of {experiment}, but its spec is not.")
    own_name = whole_text(Path(name).name)
    first = {"type": "import", "name": own_name, "created_at": now(), "experiment": experiment}
    if metadata.spec:
        first["spec"] = metadata.spec  # type: ignore[assignment]
    records: list[Record] = [{**first, "settings": settings, "details": details}, *metadata.records, *rows]
    return Imported(f"import-{hashlib.sha256(data).hexdigest()[:16]}", records, details.get("zeros", 0))


def repeated(numbers: list[int]) -> list[int]:
    """The rows, from 1, whose value was there before."""
    seen: set[int] = set()
    return [row for row, each in enumerate(numbers, start=1) if each in seen or seen.add(each)]  # type: ignore[func-returns-value]


def no_setting_twice(name: str, where: str, places: list[int]) -> None:
    """Whether each row of a summary is of a setting of its own.

    Raises:
        FormatError: Some are of one; they are named.
    """
    again = repeated(places)
    if again:
        raise FormatError(f"{name}: rows {some(again)} of {where} are of a setting that was there before.")
