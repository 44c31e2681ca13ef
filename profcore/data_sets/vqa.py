"""VQA v2 as published: a JSON of questions, a JSON of annotations, and COCO's pictures in a folder.

Source: https://visualqa.org/vqa_v2_format, and COCO's file names, `COCO_val2014_000000262148.jpg`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.data_sets.candidates import (
    IMAGE_FIELDS,
    Candidate,
    choose,
    first_field,
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


def read(folder: Path, data_set: DataSet) -> QuerySet:
    """The questions, each with its picture by the id that ends the file's name.

    Raises:
        UserError: A file is not in VQA's layout, or names a picture outside the folder.
    """
    if not data_set.questions.strip():
        raise UserError("Name the file of questions, such as v2_OpenEnded_mscoco_val2014_questions.json.")
    questions = _list(Path(data_set.questions).expanduser(), "questions", ("image_id", "question", "question_id"))
    answers: dict[Any, Any] = {}
    if data_set.annotations.strip():
        annotated = _list(Path(data_set.annotations).expanduser(), "annotations", ("question_id",))
        _check_paths(folder, annotated, data_set.annotations)
        for row in annotated:
            answers[row["question_id"]] = row.get("answers") or row.get("multiple_choice_answer")
    _check_paths(folder, questions, data_set.questions)
    pictures = {_picture_id(path): path for path in pictures_in(folder)}
    candidates = []
    for row in questions:
        field = first_field(row, IMAGE_FIELDS)
        path = inside(folder, str(row[field])) if field else pictures.get(str(row["image_id"]))
        candidates.append(
            Candidate(
                picture=Picture("file", str(path)) if path else None,
                question=str(row["question"]),
                image_id=str(row["image_id"]),
                query_id=str(row["question_id"]),
                answers=read_answers(answers.get(row["question_id"])),
                problem=f"No picture in {folder} has the id {row['image_id']}.",
            )
        )
    return choose(
        Path(data_set.questions).stem,
        candidates,
        data_set,
        lambda picture: picture_size(picture.value, Path(picture.value).name),
    )


def _picture_id(path: Path) -> str:
    """COCO's id of a picture, without leading zeros; another picture's name without its ending."""
    number = re.search(r"(\d+)$", path.stem)
    return str(int(number.group(1))) if number else path.stem


def _list(path: Path, name: str, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    """The list of objects that a file of VQA holds under its name."""
    try:
        document = json.loads(text_of(path))
    except ValueError:
        raise UserError(f"{path} is not JSON: give VQA's {name} file.") from None
    rows = document.get(name) if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise UserError(f"{path} is no {name} file of VQA: it needs a list called {name}.")
    if not rows:
        raise UserError(f"{path} holds no {name}.")
    lacking = [
        number
        for number, row in enumerate(rows, start=1)
        if not isinstance(row, dict) or not all(field in row for field in fields)
    ]
    if lacking:
        raise UserError(f"{path}: rows {some(lacking)} of {name} lack one of the fields {', '.join(fields)}.")
    return rows


def _check_paths(folder: Path, rows: list[dict[str, Any]], file: str) -> None:
    outside = [
        number
        for number, row in enumerate(rows, start=1)
        if (field := first_field(row, IMAGE_FIELDS)) and inside(folder, str(row[field])) is None
    ]
    if outside:
        raise UserError(f"{file}: rows {some(outside)} name a picture outside of {folder}.")
