"""What the cells of a data set say: questions, answers and ids, however the data set writes them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from profcore.spec.text import whole_text

_ANSWER_KEYS = ("answer", "text", "answers")


def first_field(row: Iterable[str], fields: Sequence[str]) -> str | None:
    """The first of some fields that a row has."""
    known = set(row)
    return next((field for field in fields if field in known), None)


def read_text(value: Any) -> str | None:
    """A text or a number as text; None where there is none, or something that is neither."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        # Tables write a column of whole numbers that has a gap as floats.
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, bytes):
        return whole_text(value.decode("utf-8", "replace"))
    if value is None or isinstance(value, list | dict):
        return None
    return whole_text(str(value))


def read_id(value: Any, otherwise: str) -> str:
    """An id as text, 42.0 as 42; one made up where there is none."""
    if isinstance(value, list | dict):
        return whole_text(json.dumps(value, default=str, ensure_ascii=False))
    text = read_text(value)
    return otherwise if text is None or not text.strip() else text


def read_answers(value: Any) -> tuple[str, ...]:
    """Answers as data sets write them: a text or number, objects that hold one, or lists of these.

    A blank answer is none: nobody can give it.

    Source: VQA's `answers` (objects with an `answer`), SQuAD's (an object with the list `text`).
    """
    if isinstance(value, Mapping):
        field = first_field(value, _ANSWER_KEYS)
        return read_answers(value[field]) if field else ()
    if isinstance(value, list | tuple):
        return tuple(answer for each in value for answer in read_answers(each))
    text = read_text(value)
    return () if text is None or not text.strip() else (text,)


def answers_of(row: Mapping[str, Any], fields: Sequence[str]) -> tuple[str, ...]:
    """The answers of a row: those of the first field that holds any."""
    return next((found for field in fields if (found := read_answers(row.get(field)))), ())
