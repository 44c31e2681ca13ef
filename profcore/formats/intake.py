"""Taking results in from files that a person gives: spools from elsewhere, profiling and Motivation results.

Whatever it is becomes a spool beside the database, and the store, if it is ours to open, takes it from there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profcore.errors import FormatError
from profcore.experiments.motivation import check_experiment
from profcore.formats import read_result, zeros_note
from profcore.spec.runs import RunSpec
from profcore.spec.settings import Setting
from profcore.spec.stages import State
from profcore.storage.spool import is_being_written, parse_lines, spool_path

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Received:
    """A file recognised by its content, as a spool.

    Attributes:
        run_id: The run it holds.
        spool: What its spool will hold; None where that is there already.
        note: What a person should know of it, or nothing.
    """

    run_id: str
    spool: bytes | None
    note: str = ""

    @property
    def new(self) -> bool:
        """Whether anything in it was not there before."""
        return self.spool is not None


def recognise(data: bytes, name: str, spools: Path) -> Received:
    """What a file holds; writes nothing.

    Args:
        data: The file's content.
        name: What it is called.
        spools: The spool directory, to see what is there already.

    Raises:
        FormatError: It is neither a spool nor a result file, or differs from what is there of its run.
    """
    if _is_spool(data):
        return _recognise_spool(data, name, spools)
    imported = read_result(data, name)
    note = zeros_note(imported.zeros)
    if spool_path(spools, imported.run_id).exists():
        return Received(imported.run_id, None, note)
    lines = [json.dumps(record, ensure_ascii=False, separators=(",", ":")) for record in imported.records]
    return Received(imported.run_id, ("\n".join(lines) + "\n").encode(), note)


def lay_down(received: Received, spools: Path) -> None:
    """Write a recognised file into the spool directory, whole or not at all."""
    if received.spool is None:
        return
    spools.mkdir(parents=True, exist_ok=True)
    path = spool_path(spools, received.run_id)
    part = path.with_suffix(".part")
    part.write_bytes(received.spool)
    part.replace(path)


def _is_spool(data: bytes) -> bool:
    try:
        first = json.loads(data[: data.find(b"\n") + 1 or None])
    except ValueError:
        return False
    return isinstance(first, dict) and first.get("type") in ("run", "import")


def _recognise_spool(data: bytes, name: str, spools: Path) -> Received:
    whole = data[: data.rfind(b"\n") + 1]
    records = parse_lines(whole, name)
    try:
        if records[0]["type"] != "run":
            raise KeyError("id")
        spec = RunSpec.from_dict(records[0])
        check_experiment(spec.sweep.experiment)
        _check_samples(records, spec.sweep.settings)
    except (IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"{name} is not a spool this version reads ({error!r}).") from None
    path = spool_path(spools, spec.id)
    if path.exists():
        there = path.read_bytes()
        if there.startswith(whole):
            return Received(spec.id, None)
        if not whole.startswith(there) or is_being_written(path):
            raise FormatError(f"{name} differs from what is already here of run {spec.id}.")
    ended = any(record["type"] == "state" and State(record["state"]).ended for record in records)
    return Received(spec.id, whole, "" if ended else "The run in it has not ended.")


def _check_samples(records: list[dict], settings: tuple[Setting, ...]) -> None:
    """Whether every sample names a setting and has a total."""
    for record in records:
        if record["type"] == "sample" and not (
            0 <= record["setting"] < len(settings) and float(record["total_ms"]) >= 0 and record["sample_id"] >= 0
        ):
            raise ValueError(f"sample {record['sample_id']}")
