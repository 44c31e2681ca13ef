"""A folder of pictures with a CSV or JSONL of questions: a row names a picture and puts a question."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.data_sets.candidates import (
    ANSWER_FIELDS,
    Candidate,
    choose,
    first_field,
    picture_and_question,
    pictures_in,
    read_answers,
    some,
    text_of,
)
from profcore.errors import UserError
from profcore.images.pictures import picture_size
from profcore.paths import inside
from profcore.spec.queries import Picture

if TYPE_CHECKING:
    from profcore.data_sets import DataSet
    from profcore.spec.queries import QuerySet

_USUAL_NAMES = ("questions.csv", "questions.jsonl", "metadata.csv", "metadata.jsonl")


def read(folder: Path, data_set: DataSet) -> QuerySet:
    """The rows of the file of questions, each with its picture.

    Raises:
        UserError: There is no picture or no file of questions, a row lacks a field, or names a picture outside.
    """
    pictures_in(folder)
    path = _questions_file(folder, data_set.questions)
    rows = _rows(path)
    if not rows:
        raise UserError(f"{path} holds no question.")
    image, question = picture_and_question(rows[0], path)
    lacking = [number for number, row in enumerate(rows, start=1) if not row.get(image) or not row.get(question)]
    if lacking:
        raise UserError(f"{path}: rows {some(lacking)} lack a picture or a question.")
    outside = [number for number, row in enumerate(rows, start=1) if inside(folder, str(row[image])) is None]
    if outside:
        raise UserError(f"{path}: rows {some(outside)} name a picture outside of {folder}.")
    answer = first_field(rows[0], ANSWER_FIELDS)
    candidates = [
        Candidate(
            picture=Picture("file", str(inside(folder, str(row[image])))),
            question=str(row[question]),
            image_id=str(row[image]),
            query_id=str(row.get("question_id") or row.get("query_id") or number),
            answers=read_answers(row.get(answer)) if answer else (),
        )
        for number, row in enumerate(rows, start=1)
    ]
    return choose(
        folder.name, candidates, data_set, lambda picture: picture_size(picture.value, Path(picture.value).name)
    )


def _questions_file(folder: Path, given: str) -> Path:
    if given.strip():
        path = Path(given).expanduser()
        return path if path.exists() or not (folder / given).exists() else folder / given
    for name in _USUAL_NAMES:
        if (folder / name).exists():
            return folder / name
    raise UserError(f"{folder} has no file of questions: name a CSV or JSONL, or put {_USUAL_NAMES[0]} into it.")


def _rows(path: Path) -> list[dict[str, Any]]:
    text = text_of(path)
    if path.suffix.lower() == ".csv":
        return list(csv.DictReader(io.StringIO(text)))
    rows, wrong = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict):
            rows.append(row)
        else:
            wrong.append(number)
    if wrong:
        raise UserError(f"{path}: lines {some(wrong)} are no JSON objects; give a CSV, or JSONL with one a line.")
    return rows
