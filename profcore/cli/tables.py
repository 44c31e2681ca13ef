"""Tables in a terminal of any width: no number and no name is ever cut, however many columns there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

_FRAME = 3
"""Letters that a column takes besides its text; the table takes one more."""
_LONGEST_WORD = 24
"""Letters of a word that are kept together, as long as the id of a run; a longer one, such as a kernel's, is folded."""


class Part(NamedTuple):
    """Some columns of a table that fit side by side.

    Attributes:
        columns: Their places.
        widths: Letters of each.
    """

    columns: tuple[int, ...]
    widths: tuple[int, ...]


def print_table(frame: pd.DataFrame) -> None:
    """Print a frame as a table, or below each other as parts of it where it is wider than the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    heads = [str(column) for column in frame]
    rows = [
        [f"{value:,.4g}" if isinstance(value, float) else str(value) for value in row]
        for row in frame.astype(object).where(frame.notna(), "–").to_numpy().tolist()
    ]
    same, parts = laid_out(heads, rows, console.width)
    if same:
        print("In every row: " + "; ".join(f"{heads[place]} {rows[0][place].strip()}" for place in same))
    for part in parts:
        # As text: rich would take brackets in a name for its own marks.
        table = Table()
        for place, width in zip(part.columns, part.widths, strict=True):
            table.add_column(Text(heads[place]), width=width, overflow="fold")
        for row in rows:
            table.add_row(*(Text(row[place]) for place in part.columns))
        console.print(table)


def laid_out(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> tuple[list[int], list[Part]]:
    """Columns that are the same in every row, to be said once, and the others as parts that a terminal has room for.

    What does not fit in one table is several, each with the columns at the left that say what a row is of.

    Args:
        heads: The columns' names.
        rows: The cells' texts.
        width: Letters of a line.
    """
    texts = [[head, *(row[place] for row in rows)] for place, head in enumerate(heads)]
    needed = [max(map(_longest_word, of_column)) for of_column in texts]
    # A head may stand on several lines: there is one of it, and many a cell below.
    natural = [max([least, *map(len, of_column[1:])]) for least, of_column in zip(needed, texts, strict=True)]
    every = list(range(len(heads)))
    if not every:
        return [], []
    if _taken(needed) <= width:
        return [], [_part(every, needed, natural, width)]
    same = [place for place in every if len(rows) > 1 and len(set(texts[place][1:])) == 1]
    # Rows that are all alike have their first column still.
    left = [place for place in every if place not in same] or every[:1]
    same = [place for place in same if place not in left]
    if _taken([needed[place] for place in left]) <= width:
        return same, [_part(left, needed, natural, width)]
    labels = _labels(left, texts)
    # A label of several words stands on two lines rather than on five.
    if len(labels) == 1:
        needed[labels[0]] = max(needed[labels[0]], min(natural[labels[0]], _LONGEST_WORD))
    parts: list[list[int]] = [list(labels)]
    for place in left[len(labels) :]:
        if len(parts[-1]) > len(labels) and _taken([needed[each] for each in (*parts[-1], place)]) > width:
            parts.append(list(labels))
        parts[-1].append(place)
    return same, [_part(part, needed, natural, width) for part in parts]


def _part(columns: Sequence[int], needed: Sequence[int], natural: Sequence[int], width: int) -> Part:
    """Columns with the room that is left, given to those whose cells take the most lines: a row is as high as these."""
    widths = {place: needed[place] for place in columns}
    for _ in range(width - _taken(list(widths.values()))):
        highest = max(columns, key=lambda place: natural[place] / max(widths[place], 1))
        if widths[highest] >= natural[highest]:
            break
        widths[highest] += 1
    return Part(tuple(columns), tuple(widths.values()))


def _labels(left: Sequence[int], texts: Sequence[Sequence[str]]) -> list[int]:
    """The columns at the left that hold names; the first at least, and never all."""
    labels = list(left[:1])
    for place in left[1:-1]:
        if not _of_names(texts[place]):
            break
        labels.append(place)
    return labels


def _of_names(of_column: Sequence[str]) -> bool:
    """Whether most cells of a column have letters, which numbers have not."""
    cells = of_column[1:]
    return sum(any(letter.isalpha() for letter in cell) for cell in cells) * 2 > len(cells)


def _taken(widths: Sequence[int]) -> int:
    return sum(widths) + _FRAME * len(widths) + 1


def _longest_word(text: str) -> int:
    return min(max(map(len, text.split()), default=0), _LONGEST_WORD)
