"""A spool that another process writes, followed for how far it is. Standard library only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore.spec.stages import State
from profcore.storage.lines import read_lines

if TYPE_CHECKING:
    from pathlib import Path


class Growing:
    """Reads what a spool has beyond what was read before.

    Attributes:
        samples: The samples so far.
        state: Where its run stands.
        reason: Why, where it did not simply end.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self.samples, self.state = 0, State.QUEUED
        self.reason: str | None = None

    @property
    def ended(self) -> bool:
        """Whether its run produces no further sample."""
        return self.state.ended

    def look(self) -> None:
        """Read what is new.

        Raises:
            OSError: It cannot be read.
        """
        while (lines := read_lines(self._path, self._offset)).offset > self._offset:
            self._offset = lines.offset
            for record in lines.records:
                if record and record["type"] == "sample":
                    self.samples += 1
                elif record and record["type"] == "state" and record.get("state") in list(State):
                    self.state, self.reason = State(record["state"]), record.get("reason")
