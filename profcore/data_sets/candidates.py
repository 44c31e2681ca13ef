"""What the readers of data sets share: choosing queries whose picture can be read, and paths that stay inside."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.errors import ImageError, UserError
from profcore.spec.queries import Picture, Query, QuerySet, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from profcore.data_sets import DataSet

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
IMAGE_FIELDS = ("image", "image_path", "file_name", "filename", "picture", "path", "img")
QUESTION_FIELDS = ("question", "prompt", "query", "text")
ANSWER_FIELDS = ("answers", "answer", "multiple_choice_answer")
_ROWS_NAMED = 5


@dataclass(frozen=True)
class Candidate:
    """A query that may turn out to have no picture; then `picture` is None and `problem` says why."""

    picture: Picture | None
    question: str
    image_id: str
    query_id: str
    answers: tuple[str, ...] = ()
    problem: str = ""


def choose(
    name: str, candidates: Sequence[Candidate], data_set: DataSet, size_of: Callable[[Picture], tuple[int, int]]
) -> QuerySet:
    """The queries to measure: as many as asked for whose pictures can be read, drawn at random, else all in order.

    Raises:
        UserError: None can be used.
    """
    order = list(range(len(candidates)))
    if data_set.limit is not None and data_set.limit < len(candidates):
        random.Random(data_set.seed).shuffle(order)
    queries: list[Query] = []
    skipped: list[Skipped] = []
    known: dict[Picture, tuple[int, int] | str] = {}
    for index in order:
        if data_set.limit is not None and len(queries) == data_set.limit:
            break
        candidate = candidates[index]
        if candidate.picture is None:
            skipped.append(Skipped(candidate.image_id, candidate.problem))
            continue
        picture = candidate.picture
        if picture not in known:
            try:
                known[picture] = size_of(picture)
            except ImageError as error:
                known[picture] = str(error)
        size = known[picture]
        if isinstance(size, str):
            skipped.append(Skipped(candidate.image_id, size))
            continue
        queries.append(
            Query(picture, candidate.question, candidate.image_id, candidate.query_id, *size, candidate.answers)
        )
    if not queries:
        first = f" The first: {skipped[0].reason}" if skipped else ""
        raise UserError(f"{name}: none of its {len(candidates)} questions has a picture that can be used.{first}")
    return QuerySet(name, tuple(queries), tuple(skipped))


def first_field(row: dict[str, Any], fields: Sequence[str]) -> str | None:
    """The first of some fields that a row has."""
    return next((field for field in fields if field in row), None)


def picture_and_question(columns: Iterable[str], file: Path) -> tuple[str, str]:
    """Which columns of a file hold pictures and questions.

    Raises:
        UserError: It lacks one of them.
    """
    known = dict.fromkeys(columns)
    image, question = first_field(known, IMAGE_FIELDS), first_field(known, QUESTION_FIELDS)
    if image is None or question is None:
        missing, fields = ("picture", IMAGE_FIELDS) if image is None else ("question", QUESTION_FIELDS)
        raise UserError(f"{file} has no column of {missing}s ({', '.join(known)}): call it {' or '.join(fields[:3])}.")
    return image, question


def read_answers(value: Any) -> tuple[str, ...]:
    """Answers as data sets write them: a text, a list of texts, or of objects with an `answer`."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    found = (each.get("answer") if isinstance(each, dict) else each for each in value)
    return tuple(str(each) for each in found if each is not None)


def some(numbers: Sequence[int]) -> str:
    """The first few of some row numbers, and how many more there are."""
    more = len(numbers) - _ROWS_NAMED
    return ", ".join(map(str, numbers[:_ROWS_NAMED])) + (f" and {more} more" if more > 0 else "")


def text_of(path: Path) -> str:
    """A text file's content.

    Raises:
        UserError: There is none, or it is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text file in UTF-8.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None


def pictures_in(folder: Path) -> list[Path]:
    """Every picture file below a folder, by its ending.

    Raises:
        UserError: There is none.
    """
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_ENDINGS)
    if not found:
        raise UserError(f"{folder} holds no picture: it needs files such as {', '.join(PICTURE_ENDINGS[:3])}.")
    return found
