"""Runs that others are held against, by a name that people give."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from profcore.errors import UserError

LONGEST_NAME = 80


@dataclass(frozen=True)
class Baseline:
    """A run that others are held against.

    Attributes:
        run_id: The run.
        set_at: When it was made one, in UTC, without a time zone.
    """

    run_id: str
    set_at: datetime

    def to_dict(self) -> dict[str, str]:
        """Plain JSON values."""
        return {"run": self.run_id, "set_at": self.set_at.isoformat(timespec="seconds")}


def checked_name(text: str) -> str:
    """A baseline's name on one line.

    Raises:
        UserError: It is empty, too long, or begins as an option does.
    """
    name = " ".join(text.split())
    if not name:
        raise UserError("A baseline needs a name: give one, such as main.")
    if len(name) > LONGEST_NAME:
        raise UserError(f"A baseline's name of {len(name)} letters is too long: at most {LONGEST_NAME}.")
    if name.startswith("-") or not name.isprintable():
        raise UserError("A baseline's name begins with no hyphen and holds letters that can be printed: give another.")
    return name


def read_baselines(value: Any) -> dict[str, Baseline]:
    """Baselines as a file holds them; what is none is passed over."""
    found = {}
    for name, each in value.items() if isinstance(value, dict) else ():
        with suppress(KeyError, TypeError, ValueError, UserError):
            moment = datetime.fromisoformat(each["set_at"]).replace(tzinfo=None)
            if isinstance(each["run"], str) and checked_name(name) == name:
                found[name] = Baseline(each["run"], moment)
    return found
