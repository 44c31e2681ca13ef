"""Lists in a terminal: as many columns as it is wide enough for, the most telling ones always."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_GAP = 2
"""Spaces between two columns."""

_ALWAYS = 3
"""Columns that are there at any width."""

_UNBOUNDED = 10_000
"""Letters of a line that nobody looks at in a terminal: what another program reads has every column."""


def print_list(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], first: Sequence[str]) -> None:
    """Print rows a line each.

    Args:
        rows: Values by the names of columns; None where there is none.
        columns: In the order they are printed.
        first: The order in which they are given room; the first three are there at any width.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else _UNBOUNDED)
    shown = fitting(rows, columns, first, console.width)
    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False)
    for name in shown:
        numeric = all(isinstance(row[name], int) for row in rows)
        # A line is a row: what does not fit at all is cut, and never broken in two.
        table.add_column(Text(name, style="bold"), no_wrap=True, justify="right" if numeric else "left")
    for row in rows:
        # As text: rich would take brackets in a name for its own marks.
        table.add_row(*(Text(_written(row[name])) for name in shown))
    console.print(table)


def fitting(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], first: Sequence[str], width: int) -> list[str]:
    """The columns that there is room for, in the order of `columns`; one without any value takes none."""
    shown: set[str] = set()
    room = width + _GAP
    for place, name in enumerate(first):
        takes = max([len(name), *(len(_written(row[name])) for row in rows)]) + _GAP
        if place < _ALWAYS or (takes <= room and any(row[name] is not None for row in rows)):
            shown.add(name)
            room -= takes
    return [name for name in columns if name in shown]


def _written(value: object) -> str:
    return "" if value is None else str(value)
