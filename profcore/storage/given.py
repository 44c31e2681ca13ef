"""What people said of runs, kept beside the spools: names, marks, baselines, and sample results that were removed.

The database holds it too, but may be damaged or lost; a new one is made from spools and this file.
"""

from __future__ import annotations

import json
import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from profcore.errors import UserError
from profcore.paths import read_regular
from profcore.spec.baselines import Baseline, read_baselines
from profcore.spec.marks import Marks
from profcore.spec.text import parse_json
from profcore.storage.whole import write_whole

if TYPE_CHECKING:
    from pathlib import Path

FILE = "given.json"
LONGEST_NAME = 120
_LARGEST_BYTES = 50_000_000
_log = logging.getLogger(__name__)


class Given:
    """What runs were given, and which sample results were removed; each change is in the file at once.

    Attributes:
        names: Of runs by their ids; None where one was taken back.
        marks: Of runs by their ids; those alone that have any.
        removed: Ids of sample results.
        baselines: By their names.
    """

    def __init__(self, directory: Path) -> None:
        """Read what lies in a spool directory; what cannot be read is passed over."""
        self._path = directory / FILE
        self._changing = threading.Lock()
        self.names: dict[str, str | None] = {}
        self.marks: dict[str, Marks] = {}
        self.removed: frozenset[str] = frozenset()
        self.baselines: dict[str, Baseline] = {}
        self.known = self._path.is_file()
        if self.known:
            self._read()

    def rename(self, run_id: str, name: str | None) -> None:
        """Remember a run's name, or that it was taken back.

        Raises:
            OSError: It cannot be written; nothing has changed then.
        """
        self.remember({run_id: name}, self.removed)

    def mark(self, run_id: str, marks: Marks) -> None:
        """Remember what is noted of a run.

        Raises:
            OSError: It cannot be written; nothing has changed then.
        """
        with self._changing:
            others = {run: known for run, known in self.marks.items() if run != run_id}
            self._change(self.names, others if marks == Marks() else {**others, run_id: marks}, self.removed)

    def remember(
        self, names: dict[str, str | None], removed: frozenset[str], marks: dict[str, Marks] | None = None
    ) -> None:
        """Remember names and marks beside those that are known, and exactly these sample results as removed.

        Raises:
            OSError: It cannot be written; nothing has changed then.
        """
        with self._changing:
            self._change({**self.names, **names}, {**self.marks, **(marks or {})}, removed)

    def forget(self, run_id: str, removed: frozenset[str]) -> None:
        """Let go of what a run that is gone was given, and remember exactly these sample results as removed.

        Raises:
            OSError: It cannot be written; nothing has changed then.
        """
        with self._changing:
            self._change(
                {run: name for run, name in self.names.items() if run != run_id},
                {run: marks for run, marks in self.marks.items() if run != run_id},
                removed,
                {name: each for name, each in self.baselines.items() if each.run_id != run_id},
            )

    def set_baselines(self, baselines: dict[str, Baseline]) -> None:
        """Remember exactly these baselines.

        Raises:
            OSError: It cannot be written; nothing has changed then.
        """
        with self._changing:
            self._change(self.names, self.marks, self.removed, baselines)

    def _change(
        self,
        names: dict[str, str | None],
        marks: dict[str, Marks],
        removed: frozenset[str],
        baselines: dict[str, Baseline] | None = None,
    ) -> None:
        baselines = self.baselines if baselines is None else baselines
        if (names, marks, removed, baselines) == (self.names, self.marks, self.removed, self.baselines):
            return
        noted = {run: each.to_dict() for run, each in marks.items()}
        content: dict[str, Any] = {"names": names, "marks": noted, "removed": sorted(removed)}
        if baselines:
            content["baselines"] = {name: each.to_dict() for name, each in baselines.items()}
        write_whole(self._path, json.dumps(content, ensure_ascii=False, indent=1).encode())
        self.names, self.marks, self.removed, self.baselines, self.known = names, marks, removed, baselines, True

    def _read(self) -> None:
        try:
            found: Any = parse_json(read_regular(self._path, _LARGEST_BYTES))
            self.names = {
                run: _name(name) for run, name in found["names"].items() if name is None or isinstance(name, str)
            }
            # A file of an older version has none.
            self.marks = {run: Marks.from_dict(marks) for run, marks in found.get("marks", {}).items()}
            self.removed = frozenset(run for run in found["removed"] if isinstance(run, str))
            self.baselines = read_baselines(found.get("baselines", {}))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, UserError) as error:
            _log.warning("%s cannot be read, so what runs were given is not known: %s", self._path, error)
            self.names, self.marks, self.removed, self.baselines = {}, {}, frozenset(), {}
            with suppress(OSError):
                # The next change writes a new file; what this one held is not to be lost by that.
                self._path.replace(self._path.with_suffix(".json.bad"))


def _name(name: str | None) -> str | None:
    """A name as one may be given, on one line and not too long, whatever the file says."""
    return " ".join(name.split())[:LONGEST_NAME] or None if name else None
