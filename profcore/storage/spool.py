"""The append-only file a run writes: one JSON record a line, read on from a byte offset.

Records carry a `type`: `run` (a `RunSpec`, first line), `environment`, `ceilings`, `state`, `phase` (what is being
done, for people), `routing`, `sample`, `quality`, `quality_failed`, `setting_failed`; and for results imported `import`
(first line) and `summary`.
Whoever writes holds a lock on the file, so that a spool without an end whose lock is free is known to be
abandoned. Standard library only.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from profcore.errors import FormatError
from profcore.spec.records import Ceilings, Environment, Sample, now
from profcore.spec.runs import RunSpec
from profcore.spec.stages import State
from profcore.spec.text import parse_json

Record = dict[str, Any]


def spool_path(directory: Path, run_id: str) -> Path:
    """Where a run's spool lies."""
    return directory / f"{run_id}.jsonl"


def run_record(spec: RunSpec) -> Record:
    """The first line of a run's spool."""
    return {"type": "run", **spec.to_dict()}


def state_record(state: State, reason: str | None = None) -> Record:
    """A run's state from now on, with the reason where it did not simply finish."""
    return {"type": "state", "state": str(state), "at": now(), "reason": reason}


class SpoolWriter:
    """Appends records to a spool and holds its lock until closed; each record reaches the file at once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        # Unbuffered: a killed process loses nothing that it had written.
        self._file = path.open("ab", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def write(self, record: Record) -> None:
        """Append one record."""
        self._file.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")

    def run(self, spec: RunSpec) -> None:
        """Append the run as it was asked for."""
        self.write(run_record(spec))

    def state(self, state: State, reason: str | None = None) -> None:
        """Append a change of state."""
        self.write(state_record(state, reason))

    def phase(self, text: str) -> None:
        """Append what is being done now."""
        self.write({"type": "phase", "text": text})

    def environment(self, environment: Environment) -> None:
        """Append what the samples are measured on."""
        self.write({"type": "environment", **environment.to_dict()})

    def sample(self, sample: Sample) -> None:
        """Append a sample; decode steps are rounded to a nanosecond, far below the clocks' resolution."""
        record = {"type": "sample", **sample.to_dict()}
        record["decode_steps_ms"] = [round(step, 6) for step in sample.decode_steps_ms]
        if sample.issue_ms is not None:
            record["issue_ms"] = [round(issue, 6) for issue in sample.issue_ms]
        if sample.step_issue_ms is not None:
            record["step_issue_ms"] = round(sample.step_issue_ms, 6)
        self.write(record)

    def ceilings(self, ceilings: Ceilings) -> None:
        """Append what the device was measured to do at most."""
        self.write({"type": "ceilings", **ceilings.to_dict()})

    def routing(self, setting: int, prefill_experts: tuple[int, ...]) -> None:
        """Append how many distinct experts a setting's prefill routes to in each active block."""
        self.write({"type": "routing", "setting": setting, "prefill_experts": list(prefill_experts)})

    def quality(self, setting: int, kl: float, accuracy: float | None, queries: int) -> None:
        """Append what a setting costs in quality (see `measure.quality`)."""
        found = {"kl": kl, "accuracy": accuracy, "queries": queries}
        self.write({"type": "quality", "setting": setting, **found})

    def quality_failed(self, setting: int, reason: str) -> None:
        """Append that a setting's quality could not be found, and why."""
        self.write({"type": "quality_failed", "setting": setting, "reason": reason})

    def setting_failed(self, setting: int, reason: str) -> None:
        """Append that a setting gives no further sample, and why."""
        self.write({"type": "setting_failed", "setting": setting, "reason": reason})

    def close(self) -> None:
        """Let go of the file and its lock."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()


@dataclass(frozen=True)
class Chunk:
    """Records read from a spool, and the byte offset after the last whole line."""

    records: list[Record]
    offset: int


def read_from(path: Path, offset: int = 0) -> Chunk:
    """The whole lines of a spool from a byte offset on; a line still being written is left for later.

    Raises:
        FormatError: A line is no JSON object with a type.
    """
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    end = data.rfind(b"\n") + 1
    return Chunk(parse_lines(data[:end], path.name, f" after byte {offset}" if offset else ""), offset + end)


@dataclass(frozen=True)
class Lines:
    """A spool's whole lines.

    Attributes:
        records: A record for each line; None for one that is no record.
        offset: The byte offset after the last whole line.
    """

    records: list[Record | None]
    offset: int


def read_lines(path: Path, offset: int = 0) -> Lines:
    """The whole lines of a spool from a byte offset on, each by itself; one still being written is left for later."""
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    end = data.rfind(b"\n") + 1
    return Lines(split_records(data[:end]), offset + end)


def split_records(data: bytes) -> list[Record | None]:
    """A record for each line; None for one that is no JSON object with a type."""
    lines = data.removesuffix(b"\n").split(b"\n") if data else []
    # One array is read several times as fast as many lines; which line is wrong is looked for only when one is.
    with suppress(ValueError):
        records = parse_json(b"[" + b",".join(lines) + b"]")
        if len(records) == len(lines) and all(map(_is_record, records)):
            return records
    return [_record(line) for line in lines]


def _record(line: bytes) -> Record | None:
    try:
        record = parse_json(line)
    except ValueError:
        return None
    return record if _is_record(record) else None


def _is_record(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("type"), str)


def parse_lines(data: bytes, name: str, where: str = "") -> list[Record]:
    """The records of whole lines.

    Raises:
        FormatError: A line is no JSON object with a type; its number and `where` are said.
    """
    records = []
    for number, record in enumerate(split_records(data), start=1):
        if record is None:
            raise FormatError(f"{name} is not a spool: line {number}{where} is no record.")
        records.append(record)
    return records


def read_spec(path: Path) -> RunSpec:
    """The run a spool belongs to.

    Raises:
        FormatError: Its first line does not hold one.
    """
    with path.open("rb") as file:
        line = file.readline()
    try:
        record = json.loads(line)
        if record["type"] != "run":
            raise KeyError
        return RunSpec.from_dict(record)
    except (ValueError, TypeError, KeyError):
        raise FormatError(f"{path.name} is not a run's spool: its first line holds no run.") from None


def is_being_written(path: Path) -> bool:
    """Whether some process holds the spool's lock."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        fcntl.flock(file, fcntl.LOCK_UN)
        return False


def has_ended(path: Path) -> bool:
    """Whether a spool's last record of state says that its run ended."""
    states = [record["state"] for record in read_from(path).records if record["type"] == "state"]
    return bool(states) and State(states[-1]).ended


def end_abandoned(path: Path, reason: str) -> bool:
    """Mark a spool failed whose writer is gone; returns whether it was such a one."""
    if has_ended(path) or is_being_written(path):
        return False
    with path.open("rb+") as file:
        # A process killed while writing leaves half a line, which would swallow the next record.
        data = file.read()
        file.truncate(data.rfind(b"\n") + 1)
        os.fsync(file.fileno())
    with SpoolWriter(path) as writer:
        writer.state(State.FAILED, reason)
    return True
