"""Tables that hold pictures: Parquet files, or a directory that the `datasets` library saved as Arrow streams.

Source: the layouts of `Dataset.to_parquet`, `Dataset.save_to_disk` and of data sets on the Hugging Face hub, whose
image column is a struct of `bytes` and `path`.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.data_sets.candidates import ANSWER_FIELDS, Candidate, choose, picture_and_question
from profcore.data_sets.splits import files_of_split
from profcore.data_sets.streams import MOST_ROWS
from profcore.data_sets.values import answers_of, read_id, read_text
from profcore.errors import UserError
from profcore.images.pictures import picture_size
from profcore.images.rows import read_picture, table_columns, table_rows
from profcore.paths import Roots
from profcore.spec.queries import Picture
from profcore.spec.text import some

if TYPE_CHECKING:
    from profcore.data_sets import DataSet
    from profcore.spec.queries import QuerySet

_IDS = ("question_id", "image_id")


def read(path: Path, data_set: DataSet) -> QuerySet:
    """The table's rows; pictures themselves are read when they are looked at, a null question is passed over.

    Raises:
        UserError: There is no table, it cannot be read, it is damaged, or it lacks a column.
    """
    roots = data_set.roots
    files = files_of_split(path, data_set.split.strip())
    if outside := [file.name for file in files if not roots.holds(file)]:
        raise UserError(f"{path} holds links that lead outside of the folders that a page may open: {some(outside)}.")
    tables = [(file, *_columns(file)) for file in files]
    total = sum(rows for *_, rows in tables)
    if total > MOST_ROWS:
        raise UserError(f"{path} has {total:,} rows: at most {MOST_ROWS:,} are read.")
    candidates: list[Candidate] = []
    for file, image, question, wanted, _ in tables:
        for row, values in enumerate(table_rows(file, wanted)):
            place = len(candidates)
            asked = read_text(values[question])
            candidates.append(
                Candidate(
                    picture=Picture("row", f"{file}|{image}|{row}"),
                    question=asked or "",
                    image_id=_id(values, "image_id", place),
                    query_id=_id(values, "question_id", place),
                    answers=answers_of(values, ANSWER_FIELDS),
                    problem="" if asked and asked.strip() else f"The question of row {row + 1} is no text.",
                )
            )
    if not candidates:
        raise UserError(f"{path} holds no row.")
    return choose(path.name, candidates, data_set, lambda picture: _size(picture, roots))


def _id(values: dict[str, Any], field: str, place: int) -> str:
    """The id of a row: its place where the table has no such column, and one that no other can be where it is null."""
    return read_id(values[field], f"row {place + 1}") if field in values else str(place)


def _columns(file: Path) -> tuple[str, str, list[str], int]:
    """The columns of pictures and of questions, all that are read but the pictures', and the number of rows.

    Raises:
        UserError: The file cannot be read, or lacks a column.
    """
    columns, rows = table_columns(file)
    image, question = picture_and_question(columns, file)
    wanted = [name for name in dict.fromkeys((question, *_IDS, *ANSWER_FIELDS)) if name in columns]
    return image, question, wanted, rows


def _size(picture: Picture, roots: Roots) -> tuple[int, int]:
    _, _, row = picture.value.rsplit("|", 2)
    return picture_size(io.BytesIO(read_picture(picture.value, roots)), f"the picture of row {int(row) + 1}")
