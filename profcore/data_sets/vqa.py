"""VQA v2 as published: a JSON of questions, a JSON of annotations, and COCO's pictures in a folder.

Source: https://visualqa.org/vqa_v2_format, and COCO's file names, `COCO_val2014_000000262148.jpg`; TextVQA writes
its ids in hexadecimal digits and its answers beside the questions.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.data_sets.candidates import ANSWER_FIELDS, IMAGE_FIELDS, Candidate, choose
from profcore.data_sets.files import PictureFolder
from profcore.data_sets.streams import MOST_NAMED, NoJsonError, json_list
from profcore.data_sets.values import answers_of, read_id, read_text
from profcore.errors import UserError
from profcore.images.pictures import picture_size
from profcore.paths import inside
from profcore.spec.queries import Picture
from profcore.spec.text import some

if TYPE_CHECKING:
    from profcore.data_sets import DataSet
    from profcore.spec.queries import QuerySet


def read(folder: Path, data_set: DataSet) -> QuerySet:
    """The questions, each with the picture of its id, or the one that it names; null questions are passed over.

    Raises:
        UserError: A file is not in VQA's layout, or names a picture outside the folder.
    """
    if not data_set.questions.strip():
        raise UserError("Name the file of questions, such as v2_OpenEnded_mscoco_val2014_questions.json.")
    questions = _rows(data_set.roots.path(data_set.questions), "questions", ("image_id", "question", "question_id"))
    answers: dict[str, tuple[str, ...]] = {}
    if data_set.annotations.strip():
        annotated = _rows(data_set.roots.path(data_set.annotations), "annotations", ("question_id",))
        _check_paths(folder, annotated, data_set.annotations)
        answers = {read_id(row["question_id"], ""): row["answers"] for row in annotated}
    _check_paths(folder, questions, data_set.questions)
    pictures = PictureFolder(folder, data_set.roots)
    candidates = []
    for number, row in enumerate(questions, start=1):
        image_id, query_id = read_id(row["image_id"], f"row {number}"), read_id(row["question_id"], "")
        name, question = _image_name(row), read_text(row["question"])
        path, problem = pictures.find(name) if name else pictures.find_id(image_id)
        if question is None or not question.strip():
            problem = f"The question of row {number} is no text."
        candidates.append(
            Candidate(
                picture=Picture("file", str(path)) if path else None,
                question=question or "",
                image_id=image_id,
                query_id=query_id or f"row {number}",
                answers=(query_id and answers.get(query_id)) or row["answers"],
                problem=problem,
            )
        )
    return choose(
        Path(data_set.questions).stem,
        candidates,
        data_set,
        lambda picture: picture_size(picture.value, Path(picture.value).name),
    )


def _rows(path: Path, name: str, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    """What is needed of each object of the list that a file of VQA holds under its name: fields, pictures, answers."""
    rows: list[dict[str, Any]] = []
    lacking = []
    try:
        for number, row in enumerate(json_list(path, name), start=1):
            if isinstance(row, dict) and all(field in row for field in fields):
                kept = {field: row[field] for field in (*fields, *IMAGE_FIELDS) if field in row}
                rows.append({**kept, "answers": answers_of(row, ANSWER_FIELDS)})
            else:
                lacking.append(number)
            if len(lacking) >= MOST_NAMED:
                break
    except NoJsonError:
        raise UserError(f"{path} is not JSON: give VQA's {name} file.") from None
    if lacking:
        raise UserError(f"{path}: rows {some(lacking)} of {name} lack one of the fields {', '.join(fields)}.")
    if not rows:
        raise UserError(f"{path} holds no {name}.")
    return rows


def _image_name(row: dict[str, Any]) -> str | None:
    """The path of the picture that a row names, where it names one."""
    return next((row[field] for field in IMAGE_FIELDS if isinstance(row.get(field), str) and row[field].strip()), None)


def _check_paths(folder: Path, rows: list[dict[str, Any]], file: str) -> None:
    outside = [
        number
        for number, row in enumerate(rows, start=1)
        if (name := _image_name(row)) and inside(folder, name) is None
    ]
    if outside:
        raise UserError(f"{file}: rows {some(outside)} name a picture outside of {folder}.")
