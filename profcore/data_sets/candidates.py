"""What the readers of data sets share: choosing queries whose picture can be read, and the columns of a file."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from profcore.data_sets.values import first_field
from profcore.errors import ImageError, UserError
from profcore.spec.queries import Picture, Query, QuerySet, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from profcore.data_sets import DataSet

IMAGE_FIELDS = ("image", "image_path", "file_name", "filename", "picture", "path", "img")
QUESTION_FIELDS = ("question", "prompt", "query", "text")
ANSWER_FIELDS = ("answers", "answer", "multiple_choice_answer")


@dataclass(frozen=True)
class Candidate:
    """A query that may turn out to lack a picture or a question; then `problem` says why."""

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
    taken: set[str] = set()
    known: dict[Picture, tuple[int, int] | str] = {}
    for index in order:
        if data_set.limit is not None and len(queries) == data_set.limit:
            break
        candidate = candidates[index]
        if data_set.one_question_each and candidate.image_id in taken:
            continue
        picture = candidate.picture
        if picture is None or candidate.problem:
            skipped.append(Skipped(candidate.image_id, candidate.problem))
            continue
        if picture not in known:
            try:
                known[picture] = size_of(picture)
            except ImageError as error:
                known[picture] = str(error)
        size = known[picture]
        if isinstance(size, str):
            skipped.append(Skipped(candidate.image_id, size))
            continue
        taken.add(candidate.image_id)
        queries.append(
            Query(picture, candidate.question, candidate.image_id, candidate.query_id, *size, candidate.answers)
        )
    if not queries:
        first = f" The first: {skipped[0].reason}" if skipped else ""
        raise UserError(f"{name}: none of its {len(candidates)} questions has a picture that can be used.{first}")
    return QuerySet(name, tuple(queries), tuple(skipped))


def picture_and_question(columns: Iterable[str], file: Path) -> tuple[str, str]:
    """Which columns of a file hold pictures and questions.

    Raises:
        UserError: It lacks one of them, or has two of one name.
    """
    names = list(columns)
    known = dict.fromkeys(names)
    if twice := sorted({name for name in known if name.strip() and names.count(name) > 1}):
        # Other names than these may be anything that a file begins with.
        name = (
            f" called {twice[0]!r}" if twice[0] in (*IMAGE_FIELDS, *QUESTION_FIELDS, *ANSWER_FIELDS) else " of one name"
        )
        raise UserError(f"{file} has two columns{name}: give each a name of its own.")
    image, question = first_field(known, IMAGE_FIELDS), first_field(known, QUESTION_FIELDS)
    if image is None or question is None:
        missing, fields = ("picture", IMAGE_FIELDS) if image is None else ("question", QUESTION_FIELDS)
        raise UserError(f"{file} has no column of {missing}s: call it {' or '.join(fields[:3])}.")
    return image, question
