"""All joint result files of a folder as one run: read one setting at a time, written on to a spool as they come.

A full campaign has more rows than memory; what is kept of it are its settings and the score of each question.
"""

from __future__ import annotations

import gc
import hashlib
import json
import math
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from profcore.errors import FormatError
from profcore.experiments.knobs import JOINT
from profcore.formats.joint_in import JointFile, holds_joint, read_joint_file
from profcore.formats.joint_names import JointName, joint_name
from profcore.formats.joint_out import RUN_FILE
from profcore.formats.metadata import Metadata, read_metadata
from profcore.spec.limits import most_result_values
from profcore.spec.records import now
from profcore.spec.text import counted, parse_json, whole_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from profcore.formats.joint_in import JointRow, Knobs
    from profcore.formats.members import Member
    from profcore.storage.lines import Record

_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_BATCH = 2000
_MARK = b'"per_sample_results"'
_DIALS = (
    ("tier", "least_crops", "most_crops", "grid_rows", "grid_columns"),
    ("top_k",),
    ("active_blocks",),
    ("output_tokens",),
)
"""The columns that say where each knob stands."""


@dataclass(frozen=True)
class JointFolder:
    """The files of one campaign.

    Attributes:
        name: What the run is called.
        settings: The files of each setting, the settings in their order.
        run: What says what all of them are of; None where there is nothing.
    """

    name: str
    settings: list[list[Member]]
    run: Member | None


def joint_folders(members: Sequence[Member], name: str) -> tuple[list[JointFolder], list[Member]]:
    """The campaigns among some files, told by their names, and the files that are of none.

    A campaign is what one folder holds of one task. Accuracy and latency may lie in folders of their own.

    Args:
        members: The files.
        name: What the whole of them is called.
    """
    named = [(member, found) for member in members if (found := joint_name(member.name))]
    apart = {True: set[str](), False: set[str]()}
    for _, found in named:
        if found.accuracy_alone or found.latency_alone:
            apart[found.accuracy_alone].add(found.folder)
    together = len(apart[True]) == len(apart[False]) == 1
    groups: dict[tuple[str, str], list[tuple[Member, JointName]]] = defaultdict(list)
    for member, found in named:
        alone = found.accuracy_alone or found.latency_alone
        groups["" if alone and together else found.folder, found.task].append((member, found))
    runs = {member.name: member for member in members if member.name.rpartition("/")[2] == RUN_FILE}
    folders = [
        _folder(group, name, task, len(groups) > 1, runs.get(f"{place}/{RUN_FILE}".removeprefix("./")))
        for (place, task), group in groups.items()
    ]
    taken = {member.name for member, _ in named} | {each.run.name for each in folders if each.run}
    return folders, [member for member in members if member.name not in taken]


def _folder(
    group: list[tuple[Member, JointName]], name: str, task: str, several: bool, run: Member | None
) -> JointFolder:
    stems: dict[str, list[tuple[Member, JointName]]] = defaultdict(list)
    for member, found in group:
        stems[found.stem].append((member, found))
    ordered = sorted(stems.values(), key=lambda files: (files[0][1].order, files[0][1].stem))
    called = f"{name}: {task or group[0][1].folder}" if several else name
    return JointFolder(called, [[member for member, _ in files] for files in ordered], run)


def parted_by_content(members: Sequence[Member], name: str) -> tuple[list[JointFolder], list[Member]]:
    """The campaigns among files that are not named as their settings, and the files that are of none."""
    folders: dict[str, list[Member]] = defaultdict(list)
    others: list[Member] = []
    for member in members:
        joint = member.name.lower().endswith(".json") and _MARK in member.read()
        (folders[member.name.rpartition("/")[0]] if joint else others).append(member)
    found = [JointFolder(name, [[member] for member in files], None) for files in folders.values()]
    return found, others


@dataclass(frozen=True)
class JointImport:
    """What was written of a campaign.

    Attributes:
        run_id: Follows from the content of its files.
        first: The record that its spool begins with.
        rest: Records that follow what was written.
        zeros: Latencies of 0 that are missing values.
        notes: What a person should know of it.
    """

    run_id: str
    first: Record
    rest: list[Record]
    zeros: int
    notes: list[str]


def read_joint_folder(folder: JointFolder, samples: IO[bytes]) -> JointImport:
    """Read a campaign, writing its samples as the lines of a spool.

    Args:
        folder: Its files.
        samples: Where its samples go, each a line.

    Raises:
        FormatError: A file cannot be read, or files of one setting contradict each other; what was written is to be
            thrown away.
    """
    reader = _Reader(folder.name, samples)
    if folder.run:
        reader.of_run(folder.run.read(), folder.run.name)
    for files in folder.settings:
        with _no_collection():
            reader.add([(member.name, reader.hashed(member.read())) for member in files])
    return reader.end()


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python's collector from walking the rows of a file again and again while it is read; none is a circle."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def read_joint_document(document: dict[str, Any], data: bytes, name: str) -> tuple[JointImport, list[Record]]:
    """One file of joint results by itself, and the samples that it holds.

    Raises:
        FormatError: As `read_joint_folder`.
    """
    reader = _Reader(whole_text(name.rpartition("/")[2]), None)
    reader.digest.update(hashlib.sha256(data).digest())
    reader.take([(name, read_joint_file(document, name))])
    return reader.end(), reader.kept


class _Reader:
    """A campaign while it is read."""

    def __init__(self, name: str, samples: IO[bytes] | None) -> None:
        self.name, self.digest = name, hashlib.sha256()
        self.kept: list[Record] = []
        self._samples, self._lines = samples, list[str]()
        self._settings: list[Knobs] = []
        self._places: dict[Any, str] = {}
        self._records: list[Record] = []
        self._run: Metadata | None = None
        self._run_said: str | None = None
        self._taken = set[int]()
        self._number = self._zeros = 0
        self._judged, self._timed = set[int](), set[int]()

    def hashed(self, data: bytes) -> bytes:
        """The content of a file, which counts for what the run is called."""
        self.digest.update(hashlib.sha256(data).digest())
        return data

    def of_run(self, data: bytes, name: str) -> None:
        """Take in what says of what all files are; of another project's file of that name nothing is known.

        Raises:
            FormatError: A part of it cannot be.
        """
        document = _parsed(self.hashed(data), name)
        if not isinstance(document, dict) or document.get("experiment") != JOINT.name:
            return
        found = read_metadata({"metadata": document}, name)
        if found.experiment not in (None, JOINT.name):
            raise FormatError(f"{name} says that it is of joint knobs, but its spec is of {found.experiment}.")
        if found.settings is not None:
            self._run, self._settings = found, list(found.settings)
            self._records += found.records

    def add(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Take in the files of one setting: its ranks, or its accuracy and its latencies."""
        read = []
        for name, data in files:
            document = _parsed(data, name)
            if not holds_joint(document):
                raise FormatError(
                    f"{name} is named as joint results are, but holds none: it needs top_k, num_active_blocks and "
                    "per_sample_results."
                )
            found = read_joint_file(document, name)
            _check_name(name, found)
            read.append((name, found))
        self.take(read)

    def take(self, files: Sequence[tuple[str, JointFile]]) -> None:
        """Take in what the files of one setting hold."""
        name, first = files[0]
        knobs, rows = _one_setting(files), _merged(files)
        self._zeros += sum(file.zeros for _, file in files)
        if self._run and self._run.settings is not None:
            self._write(rows, [_listed(row, self._run.settings, name) for row in rows], name)
            return
        own = self._take_own(first.metadata, name) if first.metadata else Metadata()
        alone = own.settings is not None and len(own.settings) == 1
        if own.settings and alone:
            knobs = knobs | own.settings[0]
        place = self._place(knobs, name)
        self._write(rows, [place] * len(rows), name)
        said = [{**record, "setting": place} for record in own.records if "setting" in record] if alone else []
        self._records += said
        if any(record["type"] == "quality" for record in said):
            self._judged.add(place)
        else:
            self._judge(place, rows, [file for _, file in files])

    def _take_own(self, metadata: dict[str, Any], name: str) -> Metadata:
        """What a file of this project's says of its settings, and, where nothing says it for all, of its run: once."""
        found = read_metadata({"metadata": metadata}, name)
        run = metadata.get("run")
        said = str(run.get("id")) if isinstance(run, dict) else ""
        if self._run_said is None:
            self._run_said = said
            self._records += [record for record in found.records if "setting" not in record]
        elif said != self._run_said:
            raise FormatError(f"{name} is of run {said}, but others of its folder are not: import each run by itself.")
        return found

    def _place(self, knobs: Knobs, name: str) -> int:
        """The place of a setting that was not there before."""
        key = tuple(sorted(knobs.items()))
        if key in self._places:
            raise FormatError(f"{self._places[key]} and {name} are of one setting: give one of them.")
        self._places[key] = name
        self._settings.append(knobs)
        return len(self._settings) - 1

    def _write(self, rows: Sequence[JointRow], places: Sequence[int], name: str) -> None:
        for row, place in zip(rows, places, strict=True):
            if row.sample is None:
                continue
            self._timed.add(place)
            record = {"type": "sample", "sample_id": self._sample_id(row, name), "setting": place, **row.sample}
            self._number += 1
            if self._samples is None:
                self.kept.append(record)
                continue
            self._lines.append(_ENCODE(record))
            if len(self._lines) >= _BATCH:
                self._flush()

    def _sample_id(self, row: JointRow, name: str) -> int:
        """The number of a sample: where a run is whole, as it was taken, since that is its order in time."""
        if self._run is None:
            return self._number
        if type(row.key) is not int or not 0 <= row.key < 2**31 or row.key in self._taken:
            raise FormatError(f"{name}: sample_id {str(row.key)[:20]} is none, or is there twice.")
        self._taken.add(row.key)
        return row.key

    def _flush(self) -> None:
        if self._samples is not None and self._lines:
            self._samples.write(("\n".join(self._lines) + "\n").encode())
        self._lines.clear()

    def _judge(self, place: int, rows: Sequence[JointRow], files: Sequence[JointFile]) -> None:
        """The quality of a setting: of each question where rows say it, else the mean that the file says."""
        scores = [row.score for row in rows if row.score is not None]
        given = [file for file in files if file.accuracy is not None]
        if scores:
            quality = {"accuracy": math.fsum(scores) / len(scores), "queries": len(scores), "scores": scores}
        elif given and any(file.questions for file in given):
            total = sum(file.questions for file in given)
            mean = math.fsum((file.accuracy or 0.0) * file.questions for file in given) / total
            quality = {"accuracy": mean, "queries": total}
        else:
            return
        self._judged.add(place)
        self._records.append({"type": "quality", "setting": place, "kl": None, **quality})

    def end(self) -> JointImport:
        """What the spool begins and ends with.

        Raises:
            FormatError: There is no setting with a latency or an accuracy.
        """
        self._flush()
        if not self._settings or not (self._timed or self._judged):
            raise FormatError(f"{self.name} holds neither a latency nor an accuracy.")
        details = dict((self._run.details if self._run else None) or {})
        if zeros := details.get("zeros", 0) + self._zeros:
            details["zeros"] = zeros
        notes = [] if self._run else self._notes()
        if notes:
            details["notes"] = notes
        first: Record = {"type": "import", "name": whole_text(self.name), "created_at": now(), "experiment": JOINT.name}
        if self._run and self._run.spec:
            first["spec"] = self._run.spec
        first |= {"settings": self._settings, "details": details}
        return JointImport(f"import-{self.digest.hexdigest()[:16]}", first, self._records, zeros, notes)

    def _notes(self) -> list[str]:
        """What is missing of a campaign."""
        notes = []
        number = math.prod(
            len({tuple(each.get(column) for column in columns) for each in self._settings}) for columns in _DIALS
        )
        if (missing := number - len(self._settings)) > 0:
            notes.append(
                f"{missing:,} of {counted(number, 'combination')} of these values are not there: the campaign was "
                "sparse, or was interrupted."
            )
        if untimed := len(self._judged - self._timed):
            notes.append(f"{counted(untimed, 'setting')} with an accuracy but no latency.")
        if self._judged and (unjudged := len(self._timed - self._judged)):
            notes.append(f"{counted(unjudged, 'setting')} with latencies but no accuracy.")
        return notes


def _parsed(data: bytes, name: str) -> Any:
    try:
        return parse_json(data, most_result_values())
    except ValueError as error:
        reason = f" ({error})" if str(error).startswith("it is") else ", or is cut off"
        raise FormatError(f"{name} is not JSON{reason}: give it whole, or leave it out.") from None


def _check_name(name: str, found: JointFile) -> None:
    """Whether a file holds the setting that it is named after.

    Raises:
        FormatError: It does not.
    """
    said = joint_name(name)
    if said is None:
        return
    for called, number, column in (("top_k", said.top_k, "top_k"), ("blocks", said.blocks, "active_blocks")):
        if found.knobs[column] != number:
            raise FormatError(
                f"{name} is named after {called} {number}, but holds {found.knobs[column]}: see which it is."
            )


def _one_setting(files: Sequence[tuple[str, JointFile]]) -> Knobs:
    """The knobs of files of one setting; what one of them does not say another may.

    Raises:
        FormatError: They contradict each other.
    """
    knobs: Knobs = {}
    for name, file in files:
        for column, value in file.knobs.items():
            if knobs.setdefault(column, value) != value:
                raise FormatError(
                    f"{files[0][0]} and {name} are of one setting, but contradict each other in {column}: "
                    f"{knobs[column]} and {value}."
                )
    return knobs


def _merged(files: Sequence[tuple[str, JointFile]]) -> list[JointRow]:
    """The rows of a setting's files, each question once, in the order of their ids where all have one.

    Raises:
        FormatError: Two files say different things of one question.
    """
    if len(files) == 1:
        return _ordered(files[0][1].rows)
    there: dict[Any, tuple[str, JointRow]] = {}
    alone: list[JointRow] = []
    for name, file in files:
        for row in file.rows:
            if row.key is None:
                alone.append(row)
                continue
            known = there.setdefault(row.key, (name, row))
            if known[1] is not row:
                _join(known, (name, row))
    return _ordered([*(row for _, row in there.values()), *alone])


def _join(known: tuple[str, JointRow], other: tuple[str, JointRow]) -> None:
    """What a second file says of a question: the same, or what the first did not say."""
    (first, mine), (second, theirs) = known, other
    samples_differ = mine.sample and theirs.sample and mine.sample != theirs.sample
    scores_differ = None not in (mine.score, theirs.score) and mine.score != theirs.score
    if samples_differ or scores_differ:
        raise FormatError(
            f"{first} and {second} are of one setting, but contradict each other in sample {str(mine.key)[:40]}."
        )
    mine.sample = mine.sample or theirs.sample
    mine.score = theirs.score if mine.score is None else mine.score


def _ordered(rows: list[JointRow]) -> list[JointRow]:
    keys = [row.key for row in rows]
    if all(type(key) is int for key in keys) and len(set(keys)) == len(keys):
        return sorted(rows, key=lambda row: row.key)
    return rows


def _listed(row: JointRow, settings: Sequence[Knobs], name: str) -> int:
    """The place of the setting that a row of this project's file names.

    Raises:
        FormatError: There is none.
    """
    if type(row.setting) is not int or not 0 <= row.setting < len(settings):
        raise FormatError(f"{name}: a row names setting {str(row.setting)[:20]}, which {RUN_FILE} does not list.")
    return row.setting
