"""Tables that hold pictures: Parquet files, or a directory that the `datasets` library saved as Arrow streams.

Source: the layouts of `Dataset.to_parquet`, `Dataset.save_to_disk` and of data sets on the Hugging Face hub, whose
image column is a struct of `bytes` and `path`.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from profcore.data_sets.candidates import ANSWER_FIELDS, Candidate, choose, picture_and_question
from profcore.data_sets.splits import files_of_split
from profcore.data_sets.values import answers_of, read_id, read_text
from profcore.errors import UserError
from profcore.images.pictures import picture_size
from profcore.images.rows import check_arrow_files, column_names, is_parquet, read_columns, read_picture
from profcore.spec.queries import Picture

if TYPE_CHECKING:
    from profcore.data_sets import DataSet
    from profcore.spec.queries import QuerySet

_IDS = ("question_id", "image_id")


def read(path: Path, data_set: DataSet) -> QuerySet:
    """The table's rows; pictures themselves are read when they are looked at, a null question is passed over.

    Raises:
        UserError: There is no table, it cannot be read, it is damaged, or it lacks a column.
    """
    files = files_of_split(path, data_set.split.strip())
    try:
        check_arrow_files([file for file in files if not is_parquet(file)])
    except OSError as error:
        raise UserError(f"{error}") from None
    candidates: list[Candidate] = []
    for file in files:
        image, question, rows = _rows(file)
        for row, values in enumerate(rows):
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
    return choose(path.name, candidates, data_set, _size)


def _id(values: dict[str, Any], field: str, place: int) -> str:
    """The id of a row: its place where the table has no such column, and one that no other can be where it is null."""
    return read_id(values[field], f"row {place + 1}") if field in values else str(place)


def _rows(file: Path) -> tuple[str, str, list[dict[str, Any]]]:
    """The names of the columns of pictures and of questions, and the rows without their pictures.

    Raises:
        UserError: The file cannot be read, or lacks a column.
    """
    try:
        columns = column_names(file)
        image, question = picture_and_question(columns, file)
        wanted = [name for name in dict.fromkeys((question, *_IDS, *ANSWER_FIELDS)) if name in columns]
        return image, question, read_columns(file, wanted).to_pylist()
    except UserError:
        raise
    # Arrow's errors, and those of values that Python has no like of, such as dates beyond its calendar.
    except (OSError, pa.ArrowException, ValueError, TypeError, OverflowError, KeyError, MemoryError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{file} cannot be read as a table ({reason}).") from None


def _size(picture: Picture) -> tuple[int, int]:
    _, _, row = picture.value.rsplit("|", 2)
    return picture_size(io.BytesIO(read_picture(picture.value)), f"the picture of row {int(row) + 1}")
