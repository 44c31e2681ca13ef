"""Text and JSON from elsewhere, made safe to keep: no half characters, no NaN, no bottomless nesting."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

_DEEPEST = 100
_HALF = re.compile("[\ud800-\udfff]")


def whole_text(text: str) -> str:
    """The text with each half of a surrogate pair, which no encoding can hold, replaced by U+FFFD."""
    return _HALF.sub("�", text)


def some(items: Sequence[object], most: int = 5) -> str:
    """The first few of some rows or names, as a sentence lists them, and how many more there are."""
    more = len(items) - most
    return ", ".join(map(str, items[:most])) + (f" and {more} more" if more > 0 else "")


def parse_json(data: bytes | str) -> Any:
    """The values of a JSON text; NaN, which Python's own writers leave for a missing number, is None.

    Numbers of too many digits for a float are infinite, as `Infinity` is: who reads a number must look.

    Raises:
        ValueError: It is no JSON, no text, or nested more than 100 levels deep; the message is a short reason.
    """
    try:
        found = json.loads(data, parse_constant=_constant, parse_int=_whole)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8") from None
    return _clean(found, 0)


def _constant(name: str) -> float | None:
    return None if name == "NaN" else float(name.replace("Infinity", "inf"))


def _whole(digits: str) -> int | float:
    # Beyond this many digits nothing that is counted here lies, and Python itself refuses some of them.
    return int(digits) if len(digits) <= 300 else float("-inf" if digits.startswith("-") else "inf")


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return whole_text(value) if not value.isascii() else value
    if isinstance(value, list | dict):
        if depth >= _DEEPEST:
            raise ValueError("it is nested too deeply")
        if isinstance(value, dict):
            return {_clean(key, depth): _clean(each, depth + 1) for key, each in value.items()}
        # Lists of numbers, which decode steps are, need no look at each.
        if all(type(each) is float for each in value):
            return value
        return [_clean(each, depth + 1) for each in value]
    return value
