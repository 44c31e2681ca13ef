"""A folder of pictures with a CSV or JSONL of questions: a row names a picture and puts a question."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.data_sets.candidates import (
    ANSWER_FIELDS,
    IMAGE_FIELDS,
    QUESTION_FIELDS,
    Candidate,
    choose,
    picture_and_question,
)
from profcore.data_sets.files import PictureFolder
from profcore.data_sets.streams import LONGEST_ROW, MOST_NAMED, text_lines
from profcore.data_sets.values import answers_of, first_field, read_id, read_text
from profcore.errors import UserError
from profcore.images.pictures import picture_size
from profcore.paths import inside
from profcore.spec.limits import MOST_VALUES
from profcore.spec.queries import Picture
from profcore.spec.text import parse_json, some

if TYPE_CHECKING:
    from profcore.data_sets import DataSet
    from profcore.spec.queries import QuerySet

_USUAL_NAMES = ("questions.csv", "questions.jsonl", "metadata.csv", "metadata.jsonl")
_ID_FIELDS = ("question_id", "query_id")
# What is kept of a row.
_FIELDS = frozenset((*IMAGE_FIELDS, *QUESTION_FIELDS, *ANSWER_FIELDS, *_ID_FIELDS))
# The csv module takes fields of up to 128 KiB unless told otherwise.
csv.field_size_limit(LONGEST_ROW)


def read(folder: Path, data_set: DataSet) -> QuerySet:
    """The rows of the file of questions, each with its picture; a question that is null is passed over.

    Raises:
        UserError: There is no picture or no file of questions, a row lacks a field, or names a picture outside.
    """
    pictures = PictureFolder(folder, data_set.roots)
    path = _questions_file(folder, data_set)
    rows = _rows(path)
    if not rows:
        raise UserError(f"{path} holds no question.")
    candidates, lacking, outside = [], [], []
    for number, row in enumerate(rows, start=1):
        candidate = _candidate(pictures, row, number)
        if candidate is None:
            lacking.append(number)
        elif inside(folder, candidate.image_id) is None:
            outside.append(number)
        else:
            candidates.append(candidate)
    if lacking:
        raise UserError(f"{path}: rows {some(lacking)} lack a picture or a question.")
    if outside:
        raise UserError(f"{path}: rows {some(outside)} name a picture outside of {folder}.")
    return choose(
        folder.name, candidates, data_set, lambda picture: picture_size(picture.value, Path(picture.value).name)
    )


def _candidate(pictures: PictureFolder, row: dict[str, Any], number: int) -> Candidate | None:
    """The query of a row; None where the row lacks a picture or a question."""
    image, question = first_field(row, IMAGE_FIELDS), first_field(row, QUESTION_FIELDS)
    name = read_text(row[image]) if image else None
    asked = read_text(row[question]) if question else None
    if not name or not name.strip() or question is None or (asked is not None and not asked.strip()):
        return None
    path, problem = pictures.find(name)
    return Candidate(
        picture=Picture("file", str(path)) if path else None,
        question=asked or "",
        image_id=name,
        query_id=read_id(next((row[field] for field in _ID_FIELDS if row.get(field) is not None), None), str(number)),
        answers=answers_of(row, ANSWER_FIELDS),
        problem=problem or ("" if asked else f"The question of row {number} is no text."),
    )


def _questions_file(folder: Path, data_set: DataSet) -> Path:
    given = data_set.questions
    # os.path.exists, unlike Path.exists, takes names that no file can have.
    if given.strip() and os.path.exists(folder / given):  # noqa: PTH110
        # A name in the folder, unless the working directory has such a file too.
        return data_set.roots.path(given if os.path.exists(given) else str(folder / given))  # noqa: PTH110
    if given.strip():
        return data_set.roots.path(given)
    for name in _USUAL_NAMES:
        if (folder / name).exists():
            return data_set.roots.path(str(folder / name))
    raise UserError(f"{folder} has no file of questions: name a CSV or JSONL, or put {_USUAL_NAMES[0]} into it.")


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of questions.

    Raises:
        UserError: It is neither CSV nor JSONL, or no row has a picture or a question.
    """
    rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _json_rows(path)
    if rows:
        picture_and_question(dict.fromkeys(name for row in rows for name in row), path)
    return rows


def _csv_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a CSV; blank lines are none, and cells beyond the first line's must be blank."""
    reader = csv.reader(text_lines(path, ""), strict=True)
    columns: list[str] = []
    rows: list[dict[str, Any]] = []
    wide = []
    number, start = 0, 1
    try:
        for row in reader:
            start = reader.line_num + 1
            if not any(cell.strip() for cell in row):
                continue
            if not columns:
                columns = [name.strip() for name in row]
                picture_and_question(columns, path)
                continue
            number += 1
            if any(map(str.strip, row[len(columns) :])):
                wide.append(number)
            rows.append({name: cell for name, cell in zip(columns, row, strict=False) if name in _FIELDS})
            if len(wide) >= MOST_NAMED:
                break
    except csv.Error as error:
        raise UserError(
            f"{path}: a quote in line {start} is not closed, or not doubled inside a quoted text ({error})."
        ) from None
    if wide:
        raise UserError(
            f"{path}: rows {some(wide)} have more columns than the first line names: "
            "put quotes around a text that holds a comma."
        )
    return rows


def _json_rows(path: Path) -> list[dict[str, Any]]:
    rows, wrong = [], []
    # Lines end with \n alone: other ends of lines may stand inside of a JSON text.
    for number, line in enumerate(text_lines(path, "\n"), start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line, MOST_VALUES)
        except ValueError:
            row = None
        if isinstance(row, dict):
            rows.append({name: value for name, value in row.items() if name in _FIELDS})
        else:
            wrong.append(number)
        if len(wrong) >= MOST_NAMED:
            break
        if len(rows) == MOST_NAMED:
            # What none of so many rows has, no other has.
            picture_and_question(dict.fromkeys(name for row in rows for name in row), path)
    if wrong:
        raise UserError(f"{path}: lines {some(wrong)} are no JSON objects; give a CSV, or JSONL with one a line.")
    return rows
