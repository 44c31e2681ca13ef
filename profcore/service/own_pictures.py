"""A person's own pictures with a question each, as a data set of the kind `folder`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from profcore.data_sets import DataSet
from profcore.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.spec.queries import Picture

MOST = 50
"""Pictures of one upload."""

LARGEST_BYTES = 20_000_000
"""Of one picture."""

_LONGEST_QUESTION = 2000


@dataclass(frozen=True)
class Asked:
    """One picture that was kept, what its file was called, and the question put to it."""

    name: str
    picture: Picture
    question: str


def check_asked(asked: Sequence[Asked]) -> None:
    """Whether these can be measured.

    Raises:
        UserError: There are none or too many, or a question is missing or too long.
    """
    if not 0 < len(asked) <= MOST:
        raise UserError(f"{len(asked)} pictures cannot be measured: upload 1 to {MOST}.")
    for each in asked:
        if not each.question.strip():
            raise UserError(f"{each.name} has no question: write one beside it.")
        if len(each.question) > _LONGEST_QUESTION:
            raise UserError(f"The question of {each.name} is too long: at most {_LONGEST_QUESTION:,} letters.")


def questions_file(asked: Sequence[Asked]) -> bytes:
    """The file of questions, a line of JSON each; a picture is called by its file's name and by its content."""
    lines = []
    for each in asked:
        image = Path(each.picture.value).name
        row = {"image": image, "question": each.question.strip(), "question_id": f"{each.name} ({image})"}
        lines.append(json.dumps(row, ensure_ascii=False))
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def own_data_set(folder: Path, questions: Path, within: tuple[str, ...] | None) -> DataSet:
    """The data set of a kept file of questions."""
    return DataSet("folder", str(folder), str(questions), within=within)
