"""The store: the database behind one owner, and the spools beside it that it takes in.

Every sample of every run is kept as it was measured. A spool is taken in from the byte it was last read to, and
the samples and that byte offset are committed in one transaction, so that nothing is lost or doubled when a
process is killed.
"""

from __future__ import annotations

import glob
import logging
import os
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pyarrow as pa

from profcore.errors import FormatError, StoreError, StoreHeldError, StoreValueError, UserError
from profcore.paths import SHIPPED
from profcore.spec.baselines import Baseline, checked_name
from profcore.spec.marks import Marks, checked_note, checked_tags, joined, parted
from profcore.spec.runs import RunSpec
from profcore.spec.text import brief, some, whole_text
from profcore.storage.adoption import adopt
from profcore.storage.connection import IN_MEMORY, Connection
from profcore.storage.given import LONGEST_NAME, Given
from profcore.storage.hopeless import set_aside_if_hopeless
from profcore.storage.insert import insert_records, insert_run
from profcore.storage.lines import read_lines
from profcore.storage.pooling import Pooling
from profcore.storage.prepared import prepared_runs, take_in_prepared
from profcore.storage.read import Reader
from profcore.storage.shards import begin_shard, end_shard, follow_shard, part_of, placed, take_in_places
from profcore.storage.shipped import shipped_spools, unpacked, unpacked_size
from profcore.storage.spool import end_abandoned, is_being_written, no_space_mark, spool_path
from profcore.storage.trouble import store_error
from profcore.storage.validation import BadRecordError, check_first, is_good
from profcore.storage.whole import clear_drafts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from profcore.storage.connection import Cursor
    from profcore.storage.lines import Record

_MARKS = "note, tags, starred, archived"
_log = logging.getLogger(__name__)


class _Stored(NamedTuple):
    """New samples, how many records could be stored, the run that they are of, and whether it has new environments."""

    samples: int
    kept: int
    run_id: str
    has_places: bool


class Store(Reader):
    """Takes spools in, changes what is stored, and asks it (see `Reader`).

    Attributes:
        path: The database.
        spools: The spool directory beside it.
        unread: Spools that could not be read, by their names, each with the reason.
        given: What people said of runs, kept beside the spools.
    """

    def __init__(self, path: Path | str, spools: Path | None = None) -> None:
        """Open or create a database; its spools lie beside it unless told otherwise.

        Raises:
            StoreHeldError: Another process holds it.
            StoreError: It is no database of this project.
        """
        path = path if str(path) == IN_MEMORY else Path(os.path.realpath(path))
        super().__init__(Connection(path))
        self.path = Path(path)
        self.spools = spools or spool_directory(self.path)
        self.unread: dict[str, str] = {}
        self._not_abandoned: dict[str, tuple[int, int, int]] = {}
        self._pooling = Pooling(self)
        try:
            if spools is None and not self._in_memory:
                adopt(self.path, self.spools, self._spooled())
                clear_drafts(self.spools)
                for ending in ("part", "part.wal"):
                    clear_drafts(self.path.parent, f"{glob.escape(self.path.name)}.????????.{ending}")
            self.given = Given(self.spools)
            self._recall()
        except BaseException:
            # Left open, it would be locked for this process's next try as well.
            with suppress(StoreError):
                self.close()
            raise

    def _recall(self) -> None:
        """Bring what people said of runs into a new database, or out of one that is older than the file for it."""
        cursor = self.connection.cursor
        if self.given.known:
            if not cursor.execute("SELECT id FROM runs LIMIT 1").fetchall():
                removed = self.given.removed & shipped_spools(SHIPPED).keys()
                for run_id in removed:
                    cursor.execute("INSERT OR REPLACE INTO removed VALUES (?)", [run_id])
            if not cursor.execute("SELECT name FROM baselines LIMIT 1").fetchall():
                for name, each in self.given.baselines.items():
                    cursor.execute("INSERT INTO baselines VALUES (?, ?, ?)", [name, each.run_id, each.set_at])
        elif not self._in_memory:
            named = cursor.execute("SELECT id, name FROM runs WHERE name IS NOT NULL OR source = 'imported'").fetchall()
            marked = {row[0]: _marks(row[1:]) for row in cursor.execute(f"SELECT id, {_MARKS} FROM runs").fetchall()}
            try:
                noted = {run_id: marks for run_id, marks in marked.items() if marks != Marks()}
                self.given.remember(dict(named), frozenset(self.removed()), noted)
            except OSError as error:
                _log.warning("names of runs cannot be kept beside their spools: %s", error)

    @property
    def _in_memory(self) -> bool:
        return str(self.path) == IN_MEMORY

    def check_there(self) -> None:
        """Whether the database's file is still where it was.

        Raises:
            StoreDamagedError: It was deleted or replaced.
        """
        self.connection.check_there()

    def close(self) -> None:
        """Close the database and let go of its lock."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    # Taking in

    def take_in(self, path: Path, source: str = "measured", run_id: str | None = None) -> int:
        """Take in what a spool has beyond what was taken in before; returns the number of new samples.

        A line that cannot be read or stored is left out and counted (see `bad_lines`).

        Args:
            path: The spool.
            source: Where it is from.
            run_id: The run it holds, where it is not named after that.

        Raises:
            FormatError: The file is no spool of a run that this version knows; nothing of it is stored.
            OSError: It cannot be read.
        """
        new = self._take_in(path, source, run_id)
        self.compare_cards()
        return new

    def _take_in(self, path: Path, source: str, run_id: str | None = None) -> int:
        """As `take_in`, without comparing the cards of its run."""
        run_id = run_id or path.stem
        if whole_text(run_id) != run_id:
            raise FormatError(f"{whole_text(path.name)} has a name that is no text in UTF-8: rename it.")
        offset = self._offset(self.connection.cursor, run_id)
        if not path.is_file():
            path.stat()
            raise FormatError(f"{path.name} is no file.")
        end, samples = path.stat().st_size, 0
        # What is written meanwhile is for the next time: who writes fast would never be caught up with.
        while offset is None or offset < end:
            new = self._take_in_part(path, source, run_id)
            if new is None:
                break
            samples += new
            offset = self._offset(self.connection.cursor, run_id) or 0
        return samples

    def _take_in_part(self, path: Path, source: str, run_id: str) -> int | None:
        """Take in the next whole lines of a spool; returns the number of new samples, None where there are none."""
        with self.connection.transaction() as cursor:
            # Read again inside: another thread may have taken the same lines in meanwhile.
            known = self._offset(cursor, run_id)
            lines = read_lines(path, known or 0)
            if not lines.records:
                if known is None and not is_being_written(path):
                    raise FormatError(f"{path.name} has no whole line, and nobody is writing it.")
                return None
            try:
                records = self._begin(cursor, run_id, lines.records, source) if known is None else lines.records
                new = self._store(cursor, run_id, records)
            except (BadRecordError, ValueError, TypeError, OverflowError, pa.ArrowException, StoreValueError) as error:
                raise FormatError(f"{path.name} is not a spool this version reads: {error}.") from None
            cursor.execute(
                """
                INSERT INTO spools VALUES (?, ?, ?)
                ON CONFLICT (run_id) DO UPDATE
                SET byte_offset = excluded.byte_offset, bad_lines = spools.bad_lines + excluded.bad_lines
                """,
                [run_id, lines.offset, len(records) - new.kept],
            )
        if new.samples or new.has_places:
            self._pooling.changed(new.run_id)
        return new.samples

    def take_in_all(self) -> int:
        """Take in every spool beside the database; returns the number of new samples.

        Each is read by itself, whatever it raises: what cannot be read is remembered in `unread`, and keeps no other
        out.
        """
        paths = sorted(self.spools.glob("*.jsonl"))
        self.forget_unread({path.name for path in paths})
        new = sum(self.try_take_in(path) for path in paths)
        self.compare_cards()
        return new

    def compare_cards(self, now_and_then: bool = False) -> None:
        """See which cards agree of runs that have grown on several; of each at once, or only every few seconds."""
        self._pooling.look(now_and_then)

    def forget_unread(self, names: set[str]) -> None:
        """Let go of the reasons of files that are there no more; `names` are those that are."""
        for name in self.unread.keys() - names:
            self.unread.pop(name, None)

    def try_take_in(self, path: Path, source: str = "measured") -> int:
        """As `take_in`, but what cannot be read is remembered in `unread`, said once in the log, and counts as 0.

        A file that no version of this project could read, and that nobody writes any more, is renamed.

        Raises:
            StoreError: It is the database that cannot be used.
        """
        try:
            new = self._take_in(path, source)
        except StoreError:
            raise
        except FileNotFoundError:
            self.unread.pop(path.name, None)
            return 0
        except FormatError as error:
            self._remember(path, str(error))
            if not self._in_memory and set_aside_if_hopeless(path):
                self.unread.pop(path.name, None)
            return 0
        except OSError as error:
            self._remember(path, f"{path.name}: {error.strerror}.")
            return 0
        except Exception as error:  # whatever one file holds must keep no other out
            if self._remember(path, f"{path.name} cannot be read ({type(error).__name__})."):
                _log.exception("%s", whole_text(path.name))
            return 0
        self.unread.pop(path.name, None)
        return new

    def _remember(self, path: Path, reason: str) -> bool:
        """Note why a file cannot be read; whether that is new."""
        reason = whole_text(reason)
        new = self.unread.get(path.name) != reason
        if new:
            _log.warning("%s", reason)
        self.unread[path.name] = reason
        return new

    def end_abandoned(self) -> int:
        """Mark the runs failed that nobody measures or has waiting any more; returns their number."""
        unended = """
            SELECT id FROM runs WHERE state IN ('queued', 'running') AND source = 'measured'
                AND id NOT IN (SELECT run_id FROM shards)
            UNION ALL SELECT spool FROM shards WHERE state IN ('queued', 'running')
        """
        ended = 0
        for (run_id,) in self.connection.cursor.execute(unended).fetchall():
            path = spool_path(self.spools, run_id)
            try:
                ended += self._end_if_abandoned(path, run_id)
            except (UserError, OSError) as error:
                _log.info("%s may be abandoned, but cannot be ended: %s", run_id, error)
        return ended

    def _end_if_abandoned(self, path: Path, run_id: str) -> bool:
        if not path.exists():
            self._end(run_id, "Its spool was taken away before it was done.")
            return True
        found = path.stat()
        as_it_is = (found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if self._not_abandoned.get(run_id) == as_it_is:
            return False
        if is_being_written(path):
            return False
        # Noted before: one that cannot be ended is not to be read through again and again.
        self._not_abandoned[run_id] = as_it_is
        ended = end_abandoned(path)
        self.try_take_in(path)
        return ended

    def _end(self, run_id: str, reason: str) -> None:
        with self.connection.transaction() as cursor:
            if part_of(cursor, run_id).shard:
                end_shard(cursor, run_id, reason)
                return
            statement = "UPDATE runs SET state = 'failed', reason = ?, phase = NULL WHERE id = ?"
            cursor.execute(statement, [reason, run_id])

    def unread_files(self) -> dict[str, str]:
        """The files among the spools that could not be read, with the reasons; those set aside as well."""
        aside = {path.name: "it is no spool, and was set aside" for path in self.spools.glob("*.jsonl*.bad")}
        return {whole_text(name): reason for name, reason in sorted({**aside, **self.unread}.items())}

    def take_in_shipped(self, directory: Path | None = None, prepared: bool = True) -> None:
        """Take in the sample results that come with the project, unless told others.

        Args:
            directory: Where they are.
            prepared: Whether by the tables that were made of them, where these are there.
        """
        removed = self.removed()
        known = dict(self.connection.cursor.execute("SELECT run_id, byte_offset FROM spools").fetchall())
        # They never grow: one that is known to its end is not unpacked again.
        new = {
            run_id: path
            for run_id, path in shipped_spools(directory or SHIPPED).items()
            if run_id not in removed and known.get(run_id) != unpacked_size(path)
        }
        if new and prepared:
            new = self._without_prepared(new, directory)
        try:
            # In one go, of which the disk is waited for once.
            with self.connection.transaction():
                for run_id, path in new.items():
                    with unpacked(run_id, path) as spool:
                        self._take_in(spool, "shipped")
        except StoreError:
            raise
        except Exception:  # whatever one of them holds, it keeps no other out
            for run_id, path in new.items():
                with unpacked(run_id, path) as spool:
                    self.try_take_in(spool, source="shipped")

    def _without_prepared(self, new: dict[str, Path], directory: Path | None) -> dict[str, Path]:
        """Take in those of which there are tables; returns the others."""
        cursor = self.connection.cursor
        known = {row[0] for row in cursor.execute("SELECT id FROM runs UNION SELECT run_id FROM spools").fetchall()}
        at_once = (prepared_runs(directory) & new.keys()) - known
        try:
            with self.connection.transaction() as cursor:
                take_in_prepared(cursor, at_once, directory)
                for run_id in at_once:
                    self._say_as_given(cursor, run_id)
        except StoreError as error:
            _log.info("sample results are taken in from their spools, since their tables cannot be read: %s", error)
            return new
        return {run_id: path for run_id, path in new.items() if run_id not in at_once}

    def _begin(self, cursor: Cursor, run_id: str, records: list[Record | None], source: str) -> list[Record | None]:
        """Store the run itself; returns what follows its first record."""
        first, *following = records
        if first is None:
            raise BadRecordError("its first line holds no run")
        schema = self.connection.schema("settings")
        check_first(first, schema)
        spec = RunSpec.from_dict(first) if first["type"] == "run" and first.get("shard") else None
        if spec and spec.shard:
            # A part of a run: what people said is said of the whole.
            if not begin_shard(cursor, run_id, spec, source, schema):
                return following
            run_id = spec.shard.campaign
        else:
            if cursor.execute("SELECT id FROM runs WHERE id = ?", [run_id]).fetchall():
                raise FormatError(
                    f"{run_id}.jsonl is a whole run, and another is here by that id already, such as one of shards: it "
                    "is not taken in. Measure it anew under another id."
                )
            insert_run(cursor, run_id, first, source, schema)
        self._say_as_given(cursor, run_id)
        return following

    def _say_as_given(self, cursor: Cursor, run_id: str) -> None:
        """Give a new run the name and the marks that people gave it before."""
        if run_id in self.given.names:
            cursor.execute("UPDATE runs SET name = ? WHERE id = ?", [self.given.names[run_id], run_id])
        if run_id in self.given.marks:
            _write_marks(cursor, run_id, self.given.marks[run_id])

    def _store(self, cursor: Cursor, spool: str, records: list[Record | None]) -> _Stored:
        """Store the records that can be; each of the others is left out."""
        schema, of_settings = self.connection.schema("samples"), self.connection.schema("settings")
        part = part_of(cursor, spool)
        run_id = part.run_id
        (number,) = cursor.execute("SELECT count(*) FROM settings WHERE run_id = ?", [run_id]).fetchall()[0]
        good = []
        for record in records:
            if record is not None and is_good(record, number):
                good.append(record)
        has_places = take_in_places(cursor, spool, part, good)
        if part.shard:
            follow_shard(cursor, spool, part, good)
        kept = placed(cursor, spool, part, good)
        return _Stored(insert_records(cursor, run_id, kept, schema, of_settings), len(good), run_id, has_places)

    # Changing

    def rename(self, run_id: str, name: str | None) -> None:
        """Give a run a name; a blank one, or None, for the one that follows from what it was measured on.

        Raises:
            UserError: The name is too long.
        """
        # On one line: lists, captions and reports write it within theirs.
        name = " ".join((name or "").split()) or None
        if name and len(name) > LONGEST_NAME:
            raise UserError(f"A name of {len(name)} letters is too long: at most {LONGEST_NAME}.")
        with self.connection.transaction() as cursor:
            cursor.execute("UPDATE runs SET name = ? WHERE id = ?", [name, run_id])
            with self._beside_spools():
                self.given.rename(run_id, name)

    def mark(self, run_id: str, **changes: Any) -> None:
        """Change what is noted of a run; what is not named stays.

        Args:
            run_id: The run.
            changes: Fields of `Marks`.

        Raises:
            UserError: There is no such run, a text is too long, or tags are too many.
        """
        if "note" in changes:
            changes["note"] = checked_note(changes["note"])
        if "tags" in changes:
            changes["tags"] = checked_tags(changes["tags"])
        with self.connection.transaction() as cursor:
            found = cursor.execute(f"SELECT {_MARKS} FROM runs WHERE id = ?", [run_id]).fetchall()
            if not found:
                raise UserError(f"There is no run {run_id}.")
            marks = replace(_marks(found[0]), **changes)
            _write_marks(cursor, run_id, marks)
            with self._beside_spools():
                self.given.mark(run_id, marks)

    def set_baseline(self, name: str, run_id: str) -> None:
        """Have a run be what others are held against by a name, in place of the one that was.

        Raises:
            UserError: There is no such run, or the name is none.
        """
        name = checked_name(name)
        each = Baseline(run_id, datetime.now(UTC).replace(microsecond=0, tzinfo=None))
        with self.connection.transaction() as cursor:
            if not cursor.execute("SELECT id FROM runs WHERE id = ?", [run_id]).fetchall():
                raise UserError(f"There is no run {run_id}.")
            if cursor.execute("SELECT id FROM runs WHERE id = ?", [name]).fetchall():
                raise UserError(f"{name!r} is a run's id: give the baseline another name.")
            cursor.execute("INSERT OR REPLACE INTO baselines VALUES (?, ?, ?)", [name, each.run_id, each.set_at])
            with self._beside_spools():
                self.given.set_baselines({**self.given.baselines, name: each})

    def remove_baseline(self, name: str) -> None:
        """Let go of a baseline; its run stays.

        Raises:
            UserError: There is none of this name.
        """
        with self.connection.transaction() as cursor:
            known = [row[0] for row in cursor.execute("SELECT name FROM baselines ORDER BY name").fetchall()]
            if name not in known:
                listed = f"the baselines are {some(known)}" if known else "none is set"
                raise UserError(f"There is no baseline {brief(name)!r}: {listed}.")
            cursor.execute("DELETE FROM baselines WHERE name = ?", [name])
            with self._beside_spools():
                self.given.set_baselines({known: each for known, each in self.given.baselines.items() if known != name})

    def remove(self, run_id: str) -> None:
        """Take a run out, with its spool beside the database; sample results are only kept from coming back.

        Raises:
            UserError: Somebody measures it, or has it waiting.
        """
        paths = [spool_path(self.spools, spool) for spool in self.spools_of(run_id)]
        for path in paths:
            with suppress(OSError):  # what is not there, or cannot be read, nobody measures
                if is_being_written(path):
                    raise UserError(f"Run {run_id} is being measured by another process: stop it there first.")
        with self.connection.transaction() as cursor:
            shipped = cursor.execute("SELECT source = 'shipped' FROM runs WHERE id = ?", [run_id]).fetchall()
            cursor.execute("DELETE FROM spools WHERE run_id IN (SELECT unnest(?))", [[path.stem for path in paths]])
            for table in ("samples", "settings", "summaries", "environments", "shards"):
                cursor.execute(f"DELETE FROM {table} WHERE run_id = ?", [run_id])
            cursor.execute("DELETE FROM runs WHERE id = ?", [run_id])
            cursor.execute("DELETE FROM baselines WHERE run_id = ?", [run_id])
            if shipped and shipped[0][0]:
                cursor.execute("INSERT OR REPLACE INTO removed VALUES (?)", [run_id])
            with self._beside_spools():
                removed = {run_id} if shipped and shipped[0][0] else set()
                self.given.forget(run_id, self.given.removed | removed)
                # Inside, so that no other thread takes it in again between.
                for path in paths:
                    path.unlink(missing_ok=True)
                    with suppress(OSError):
                        no_space_mark(path).unlink()

    def restore_shipped(self, directory: Path | None = None) -> None:
        """Take removed sample results in again."""
        with self.connection.transaction() as cursor:
            cursor.execute("DELETE FROM removed")
            with self._beside_spools():
                self.given.remember({}, frozenset())
        self.take_in_shipped(directory)

    @contextmanager
    def _beside_spools(self) -> Iterator[None]:
        """Let what the folder of spools refuses be said as what the database refuses is."""
        try:
            yield
        except OSError as error:
            raise store_error(error, self.path) from None

    def _spooled(self) -> set[str]:
        """The runs whose spools were taken in."""
        return {row[0] for row in self.connection.cursor.execute("SELECT run_id FROM spools").fetchall()}

    @staticmethod
    def _offset(cursor: Cursor, run_id: str) -> int | None:
        """How far a run's spool was taken in; None where it is new."""
        # Fetched to the end: a cursor with a result left over refuses other work.
        rows = cursor.execute("SELECT byte_offset FROM spools WHERE run_id = ?", [run_id]).fetchall()
        return rows[0][0] if rows else None


def _marks(row: tuple[Any, ...]) -> Marks:
    """What is noted of a run, from its columns `_MARKS`."""
    note, tags, starred, archived = row
    return Marks(note or "", parted(tags), bool(starred), bool(archived))


def _write_marks(cursor: Cursor, run_id: str, marks: Marks) -> None:
    cursor.execute(
        "UPDATE runs SET note = ?, tags = ?, starred = ?, archived = ? WHERE id = ?",
        [marks.note, joined(marks.tags), marks.starred, marks.archived, run_id],
    )


def spool_directory(database: Path) -> Path:
    """Where the spools of a database lie: beside it, in a folder of its own that is named after it.

    A link to a database is that database, so that who comes by the one or the other finds the same spools.
    """
    database = Path(os.path.realpath(database))
    return database.with_name(f"{database.name}.spool")


@contextmanager
def open_for_reading(database: Path) -> Iterator[Store]:
    """A store that holds what a database and its spools hold, also while another process owns the database.

    Then it is made of the spools, what is kept beside them and the sample results, in memory.

    Raises:
        StoreError: It is no database of this project.
    """
    try:
        store = Store(database)
    except StoreHeldError:
        store = Store(IN_MEMORY, spool_directory(database))
        store.take_in_shipped()
    with store:
        store.take_in_all()
        store.end_abandoned()
        yield store
