"""What a shell completes when Tab is pressed: commands, options and values by the parser, and runs by their spools.

The shell asks through argcomplete, which the extra `completion` installs; without it nothing is completed.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from profcore.paths import default_database

if TYPE_CHECKING:
    import argparse

_ASKED = "_ARGCOMPLETE"
"""The variable that is set when it is the shell that asks, and not a person."""

Completer: TypeAlias = Callable[..., Sequence[str]]


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell and end, where it is the shell that asks and argcomplete is installed."""
    if _ASKED not in os.environ:
        return
    try:
        import argcomplete
    except ImportError:
        return
    argcomplete.autocomplete(parser)


def with_completer(action: argparse.Action, completer: Completer) -> None:
    """Have what a function gives offered for the values of an action, as argcomplete asks for it."""
    action.completer = completer  # type: ignore[attr-defined]


def words(*known: str) -> Completer:
    """Offers these words."""
    return lambda **_: known


def runs(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """The ids that begin so, newest first, by the names of spools: no database is opened for a press of Tab."""
    from profcore.storage.given import Given
    from profcore.storage.shipped import shipped_spools
    from profcore.storage.store import spool_directory

    folder = spool_directory(getattr(parsed_args, "db", None) or default_database())
    # Several shards are one run.
    known = {re.sub(r"-s[0-9]{3,4}$", "", path.stem) for path in folder.glob(f"{_literal(prefix)}*.jsonl")}
    shipped = {run_id for run_id in shipped_spools() if run_id.startswith(prefix)}
    return sorted(known | (shipped - Given(folder).removed), reverse=True)


def _literal(text: str) -> str:
    """A beginning of a file's name, of which `glob` takes each letter for itself."""
    return glob.escape(text.replace("/", ""))
