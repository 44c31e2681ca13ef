"""Real pictures with questions: what the Motivation experiments measure. Needs no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profcore.errors import UserError
from profcore.paths import Roots

if TYPE_CHECKING:
    from profcore.spec.queries import QuerySet

KINDS = {
    "photographs": "the photographs of scikit-image, with questions written for this project; needs no file",
    "shapes": "pictures of coloured shapes with small digits, drawn from seeds, answered in a word; needs no file",
    "vqa": "VQA v2 as published: questions JSON, annotations JSON if there is one, and a folder of pictures",
    "folder": "a folder of pictures and a CSV or JSONL of questions",
    "table": "Parquet files, or a directory saved by the datasets library, with pictures and questions as columns",
}
"""The kinds of data sets, in words."""


def usual_kind(model: str | None) -> str:
    """The kind that is meant where nobody names one.

    Of the small trained model, which answers nothing else, pictures like those that it was trained on: both are called
    shapes.
    """
    return "shapes" if model == "shapes" else "photographs"


@dataclass(frozen=True)
class DataSet:
    """A data set as a person names it.

    Attributes:
        kind: One of `KINDS`.
        path: The folder of pictures, or the table.
        questions: The file of questions: VQA's JSON, or a CSV or JSONL.
        annotations: VQA's annotations JSON; may be left out.
        split: Which split of a table that holds several.
        limit: How many queries to take, drawn at random; None for all, in order.
        seed: Of the draw.
        one_question_each: Whether each picture is taken once, with one of its questions; `limit` then counts pictures.
        within: The folders that its paths must lie in (see `profcore.paths.Roots`); None for anywhere.
    """

    kind: str = "photographs"
    path: str = ""
    questions: str = ""
    annotations: str = ""
    split: str = ""
    limit: int | None = None
    seed: int = 0
    one_question_each: bool = False
    within: tuple[str, ...] | None = None

    @property
    def roots(self) -> Roots:
        """What its paths may lead to."""
        return Roots(None if self.within is None else tuple(self.within))


def read_data_set(data_set: DataSet) -> QuerySet:
    """The queries of a data set; broken and missing pictures are passed over and named.

    Raises:
        UserError: There is no such data set, it is not of its kind, or no query of it can be used.
    """
    from profcore.data_sets import folder, photographs, shapes, tables, vqa

    if data_set.limit is not None and data_set.limit < 1:
        raise UserError(f"{data_set.limit} pictures measure nothing: take at least 1.")
    if data_set.kind == "photographs":
        return photographs.read(data_set)
    if data_set.kind == "shapes":
        return shapes.read(data_set)
    if data_set.kind not in KINDS:
        raise UserError(f"There is no data set kind {data_set.kind!r}: choose from {', '.join(KINDS)}.")
    if not data_set.path.strip():
        raise UserError("Name where the pictures are: a folder, or for a table its file or directory.")
    # Absolute, since the worker that reads the pictures may stand elsewhere.
    path = data_set.roots.path(data_set.path).absolute()
    if not os.path.exists(path):  # noqa: PTH110  Path.exists fails for names that no file can have
        raise UserError(f"There is nothing at {data_set.path!r}: give the path of a {_thing(data_set.kind)}.")
    if data_set.kind == "table":
        return tables.read(path, data_set)
    if not path.is_dir():
        raise UserError(f"{data_set.path!r} is a file: give the folder that holds the pictures.")
    return vqa.read(path, data_set) if data_set.kind == "vqa" else folder.read(path, data_set)


def _thing(kind: str) -> str:
    return "Parquet file or directory" if kind == "table" else "folder of pictures"
