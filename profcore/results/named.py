"""Finding a run by what a person writes: its id, or a beginning that is one run's alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from profcore.errors import UserError

if TYPE_CHECKING:
    from profcore.storage.read import Reader

_MOST_NAMED = 5
_LONGEST_SHOWN = 60


def find_run(store: Reader, text: str) -> str:
    """The id of the run that a person names by it, or by a beginning that is one run's alone.

    Raises:
        UserError: There is none, or several begin so.
    """
    ids = store.runs()["id"].tolist()
    if text in ids:
        return text
    found = [run_id for run_id in ids if text and run_id.startswith(text)]
    if len(found) == 1:
        return found[0]
    shown = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
    if not found:
        raise UserError(f"There is no run {shown!r}: `profcore runs` lists those that there are.")
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    named = f"{', '.join(found[:_MOST_NAMED])}{more}"
    raise UserError(f"{shown!r} begins several runs: {named}. Give more of it.")
