"""The append-only file a run writes: one JSON record a line, read on from a byte offset.

Records carry a `type`: `run` (a `RunSpec`, first line), `owner` (who is to see it to its end from now on),
`environment`, `ceilings`, `state`, `phase` (what is being done, for people), `routing`, `sample`, `quality`,
`quality_failed`, `energy`, `energy_failed`, `setting_failed`, `setting_ended` (what stopped its sampling); and for
results imported `import` (first line) and `summary`.
Whoever writes holds a lock on the file, and so does whoever has a run waiting, so that a spool without an end whose
locks are free is known to be abandoned. Standard library only.
"""

from __future__ import annotations

import io
import json
import os
import platform
import tempfile
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

from profcore.errors import FormatError, NoSpaceError, RunHeldError, UserError
from profcore.spec.records import Ceilings, Energy, Environment, Sample, StageWork, now
from profcore.spec.runs import RunSpec
from profcore.spec.stages import State
from profcore.storage.lines import Record, read_lines, records_of_kinds
from profcore.storage.locks import OWNER, WRITER, are_told, is_held, take
from profcore.storage.space import no_space_left, no_space_said

_STEP = 65536
_RESERVE_BYTES = 16384
QUIET_S = 600.0
"""How long a spool may stand still before that is said of it: a model may be loaded and compiled for minutes."""


def spool_path(directory: Path, run_id: str) -> Path:
    """Where a run's spool lies."""
    return directory / f"{run_id}.jsonl"


def spool_files(directory: Path) -> list[Path]:
    """The files that lie in a spool directory as spools, in the order of their names; no folder, pipe or device."""
    return sorted(path for path in directory.glob("*.jsonl") if path.is_file())


def no_space_mark(path: Path) -> Path:
    """A file of nothing, which finds a place where no line does: how a run ended could not be written to its spool."""
    return path.with_suffix(".nospace")


def run_record(spec: RunSpec) -> Record:
    """The first line of a run's spool."""
    return {"type": "run", **spec.to_dict()}


def state_record(state: State, reason: str | None = None) -> Record:
    """A run's state from now on, with the reason where it did not simply finish."""
    return {"type": "state", "state": str(state), "at": now(), "reason": reason}


def owner_record(by: str, folder: Path) -> Record:
    """Who is to see a run to its end from now on.

    Args:
        by: 'dashboard' or 'command'.
        folder: Where the spool lies: its locks say nothing where it was copied to.
    """
    place = {"host": platform.node(), "folder": str(folder.resolve()), "pid": os.getpid()}
    return {"type": "owner", "by": by, **place, "at": now()}


class SpoolWriter:
    """Appends records to a spool and holds its lock until closed; each record reaches the file at once."""

    def __init__(self, path: Path) -> None:
        """Open or create a spool.

        Raises:
            RunHeldError: Another process writes it.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        # Unbuffered: a killed process loses nothing that it had written.
        self._file = path.open("ab+", buffering=0)
        if not take(self._file, WRITER):
            self._file.close()
            raise RunHeldError(f"Run {path.stem} is being measured by another process.")
        _cut_half_line(self._file)
        self._reserve = _reserve(path.parent)

    def write(self, record: Record) -> None:
        """Append one record, whole or not at all.

        Raises:
            NoSpaceError: There is no space left for it.
        """
        end = os.fstat(self._file.fileno()).st_size
        try:
            with no_space_said(self.path.parent):
                _write_all(self._file, _line(record))
        except BaseException:
            # Half a line would swallow the next one.
            with suppress(OSError):
                self._file.truncate(end)
            raise

    def owner(self, by: str) -> None:
        """Append who is to see the run to its end from now on (see `owner_record`)."""
        self.write(owner_record(by, self.path.parent))

    def run(self, spec: RunSpec) -> None:
        """Append the run as it was asked for."""
        self.write(run_record(spec))

    def state(self, state: State, reason: str | None = None) -> None:
        """Append a change of state; how a run ended also finds space where there is none for anything else.

        Raises:
            NoSpaceError: There is not even space for that; whoever ends the run later finds a mark that says so.
        """
        try:
            self._write_state(state_record(state, reason), state.ended)
        except NoSpaceError:
            if state.ended:
                with suppress(OSError):
                    no_space_mark(self.path).touch()
            raise
        if state.ended:
            with suppress(OSError):
                no_space_mark(self.path).unlink()

    def _write_state(self, record: Record, has_reserve: bool) -> None:
        try:
            self.write(record)
        except NoSpaceError:
            if not has_reserve:
                raise
            self._reserve.close()
            self.write(record)

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

    def quality(
        self, setting: int, kl: float, accuracy: float | None, queries: int, scores: tuple[float, ...] | None = None
    ) -> None:
        """Append what a setting costs in quality (see `measure.quality`)."""
        found: Record = {"kl": kl, "accuracy": accuracy, "queries": queries}
        if scores is not None:
            found["scores"] = list(scores)
        self.write({"type": "quality", "setting": setting, **found})

    def quality_failed(self, setting: int, reason: str) -> None:
        """Append that a setting's quality could not be found, and why."""
        self.write({"type": "quality_failed", "setting": setting, "reason": reason})

    def energy(self, setting: int, energy: Energy) -> None:
        """Append what a setting takes in joules (see `measure.energy`)."""
        self.write({"type": "energy", "setting": setting, **energy.to_dict()})

    def work(self, setting: int, work: Iterable[StageWork]) -> None:
        """Append what an inference at a setting computes and moves, by stage (see `measure.work`)."""
        found = {f"{each.stage.value}_{what}": getattr(each, what) for each in work for what in ("flops", "bytes")}
        self.write({"type": "work", "setting": setting, **found})

    def energy_failed(self, setting: int, reason: str) -> None:
        """Append that a setting's energy could not be found, and why."""
        self.write({"type": "energy_failed", "setting": setting, "reason": reason})

    def setting_failed(self, setting: int, reason: str) -> None:
        """Append that a setting gives no further sample, and why."""
        self.write({"type": "setting_failed", "setting": setting, "reason": reason})

    def answer(self, setting: int, text: str) -> None:
        """Append what the model answered at a setting."""
        self.write({"type": "answer", "setting": setting, "text": text})

    def setting_ended(self, setting: int, by: str) -> None:
        """Append that a setting has enough samples, and by which rule."""
        self.write({"type": "setting_ended", "setting": setting, "by": by})

    def close(self) -> None:
        """Let go of the file and its lock."""
        self._file.close()
        self._reserve.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()


def read_spec(path: Path) -> RunSpec:
    """The run a spool belongs to.

    Raises:
        FormatError: Its first line does not hold one.
        OSError: It cannot be read.
    """
    try:
        record = read_lines(path).records[0]
        if record is None or record["type"] != "run":
            raise KeyError
        return RunSpec.from_dict(record)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, UserError):
        raise FormatError(f"{path.name} is not a run's spool: its first line holds no run.") from None


class RunHold:
    """Says that this process will see a run to its end, whoever writes it meanwhile; until closed, or the process ends.

    Attributes:
        path: The run's spool.
    """

    def __init__(self, path: Path) -> None:
        """Take hold of a run whose spool is there.

        Raises:
            RunHeldError: Another process has it.
            OSError: The spool cannot be opened.
        """
        self._begin(path, path.open("rb+", buffering=0))

    @classmethod
    def of_new(cls, path: Path, spec: RunSpec, by: str) -> Self:
        """Write the spool of a new run that waits, whole or not at all, and held before anybody can see it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.stem}.{uuid.uuid4().hex}.part")
        hold = cls.__new__(cls)
        hold._begin(path, part.open("xb+", buffering=0))
        try:
            records = (run_record(spec), owner_record(by, path.parent), state_record(State.QUEUED))
            with no_space_said(path.parent):
                _write_all(hold._file, b"".join(map(_line, records)))
                os.fsync(hold._file.fileno())
                part.replace(path)
        except BaseException:
            hold.close()
            part.unlink(missing_ok=True)
            raise
        return hold

    def _begin(self, path: Path, file: IO[bytes]) -> None:
        self.path, self._file = path, file
        if not take(file, OWNER):
            file.close()
            raise RunHeldError(f"Run {path.stem} is being measured by another process.")

    def close(self) -> None:
        """Let go of the run."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()


def is_being_written(path: Path) -> bool:
    """Whether some process writes a spool, or has its run waiting; looking disturbs neither."""
    return is_held(path, WRITER, OWNER)


def lock_tells(path: Path) -> bool:
    """Whether it is seen from here whether somebody writes a spool.

    Not where its file system has no locks, nor of one that another machine was to see to its end: many file systems
    that machines share keep locks to each of them.
    """
    host = _owner(records_of_kinds(path, "owner")).get("host")
    return host in (None, platform.node()) and are_told(path.parent)


def quiet_s(path: Path) -> float:
    """Seconds since a spool last grew, by the clock of its own file system.

    Raises:
        OSError: There is none.
    """
    written = path.stat().st_mtime
    try:
        with tempfile.TemporaryFile(dir=path.resolve().parent) as file:
            moment = os.fstat(file.fileno()).st_mtime
    except OSError:
        moment = time.time()
    return max(moment - written, 0.0)


def last_state(path: Path) -> State | None:
    """What a spool's last record of state says; None where none does."""
    return _state(records_of_kinds(path, "state"))


def has_ended(path: Path) -> bool:
    """Whether a spool's last record of state says that its run ended."""
    state = last_state(path)
    return state is not None and state.ended


def _state(records: list[Record]) -> State | None:
    states = [record.get("state") for record in records if record["type"] == "state"]
    known = [state for state in states if isinstance(state, str) and state in set(State)]
    return State(known[-1]) if known else None


def end_abandoned(path: Path, reason: str | None = None) -> bool:
    """Mark a spool failed that nobody writes or has waiting any more; returns whether it was such a one.

    Where there are no locks, one that grew a moment ago is taken to be written.

    Args:
        path: The spool.
        reason: Why; who had it and is gone, unless told otherwise. Then a run that somebody measures in another place
            is left as it is: a lock is not seen from here.

    Raises:
        FormatError: It is no run's spool.
        OSError: It cannot be read or written.
    """
    read_spec(path)
    if is_being_written(path) or (not are_told(path.parent) and quiet_s(path) < QUIET_S):
        return False
    records = records_of_kinds(path, "state", "owner")
    state = _state(records)
    if (state is not None and state.ended) or (reason is None and _is_elsewhere(records, path)):
        return False
    try:
        with RunHold(path), SpoolWriter(path) as writer:
            # Whoever had it may have written its end meanwhile.
            if has_ended(path):
                return False
            for_want_of_space = no_space_left(path.parent) if no_space_mark(path).exists() else None
            writer.state(State.FAILED, for_want_of_space or reason or owner_is_gone(_owner(records).get("by")))
    except RunHeldError:
        return False
    return True


def _owner(records: list[Record]) -> Record:
    """Who has, or had, a run; empty where its spool does not say."""
    return next((record for record in reversed(records) if record["type"] == "owner"), {})


def _is_elsewhere(records: list[Record], path: Path) -> bool:
    """Whether a spool was written on another machine and in another folder, and only copied here."""
    owner = _owner(records)
    here = (platform.node(), str(path.parent.resolve()))
    return bool(owner) and owner.get("host") != here[0] and owner.get("folder") != here[1]


def owner_is_gone(by: Any) -> str:
    """Why a run ended before it was done that nobody stopped.

    Args:
        by: Who had started it, as in `owner_record`; anything else for one that is not known.
    """
    who = by if by in ("dashboard", "command") else "program"
    return f"The {who} that had started this run ended before it was done."


def _line(record: Record) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _write_all(file: IO[bytes], data: bytes) -> None:
    """Write to a file without a buffer, which may take less at a time than it is given."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _reserve(folder: Path) -> IO[bytes]:
    """Space kept on the same disk, by a file without a name; closing it, or the process's end, gives it back."""
    try:
        file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 (closed by whoever keeps it)
    except OSError:
        return io.BytesIO()
    with suppress(OSError):
        # No zeros, which some file systems keep without taking space for them.
        file.write(os.urandom(_RESERVE_BYTES))
    return file


def _cut_half_line(file: IO[bytes]) -> None:
    """Take off what a process killed while writing left of its last line, which would swallow the next record."""
    end = kept = file.seek(0, os.SEEK_END)
    while kept:
        begin = max(kept - _STEP, 0)
        file.seek(begin)
        found = file.read(kept - begin).rfind(b"\n")
        if found >= 0:
            kept = begin + found + 1
            break
        kept = begin
    if kept < end:
        file.truncate(kept)
