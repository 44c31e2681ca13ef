"""How far spools are, read on from where each was last looked at, so that who waits for many reads none again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profcore.errors import UserError
from profcore.paths import open_regular
from profcore.spec.stages import State
from profcore.spec.text import parse_json

if TYPE_CHECKING:
    from pathlib import Path

# As a spool's lines begin; a line is told by this alone, so that a sample's is never read as JSON.
_SAMPLE, _STATE = b'{"type":"sample"', b'{"type":"state"'
_LONGEST = 8_000_000


@dataclass
class Progress:
    """How far a spool is.

    Attributes:
        offset: The byte after the last whole line that was read.
        samples: How many it has.
        state: The last that its run was in; None where it does not say.
        reason: Why it ended, where it says so.
        at: When it came into that state, in UTC.
    """

    offset: int = 0
    samples: int = 0
    state: State | None = None
    reason: str = ""
    at: str = ""


class SpoolProgress:
    """Looks at spools, each from where it was last looked at."""

    def __init__(self) -> None:
        self._seen: dict[Path, Progress] = {}

    def look(self, path: Path) -> Progress:
        """How far a spool is by now; of none, or one that cannot be read, nothing is known."""
        seen = self._seen.setdefault(path, Progress())
        with suppress(OSError):
            if path.stat().st_size < seen.offset:
                # Another lies in its place.
                seen = self._seen[path] = Progress()
            with open_regular(path) as file:
                file.seek(seen.offset)
                while (line := file.readline(_LONGEST)).endswith(b"\n"):
                    seen.offset += len(line)
                    _note(seen, line)
        return seen


def _note(seen: Progress, line: bytes) -> None:
    if line.startswith(_SAMPLE):
        seen.samples += 1
    elif line.startswith(_STATE):
        with suppress(ValueError, KeyError, TypeError, AttributeError, UserError):
            record = parse_json(line)
            seen.state, seen.reason = State(record["state"]), str(record.get("reason") or "")
            seen.at = str(record.get("at") or "")
