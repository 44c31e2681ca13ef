"""CSV and JSON that other programs open: no cell is a formula, no number is NaN."""

from __future__ import annotations

import json
import math
import re
import string
import unicodedata
from functools import cache
from typing import Any

import pandas as pd

# What begins a formula, also in one of the wide forms that Asian keyboards give.
_SIGNS = set("=+-@")
# What nearly every text begins with, and no formula does.
_USUAL = frozenset(string.ascii_letters + string.digits + "[")
# Kinds of letters that nobody sees, and that a spreadsheet may pass over before a formula: spaces, controls, marks.
_UNSEEN = ("Zs", "Zl", "Zp", "Cc", "Cf")
# What may hold a list or an object.
_NESTS = (dict, list, tuple)
# What surely holds none.
_SIMPLE = frozenset({str, int, float, bool, type(None)})
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|-?(inf|nan)")


def csv_text(frame: pd.DataFrame) -> str:
    """A table as CSV; a text that a spreadsheet would take for a formula has an apostrophe before it, a number none."""
    safe = frame.copy(deep=False)
    for name, dtype in frame.dtypes.items():
        if not pd.api.types.is_numeric_dtype(dtype):
            safe[name] = frame[name].map(_harmless)
    return safe.rename(columns=_harmless).to_csv(index=False)


def _harmless(cell: Any) -> Any:
    if not isinstance(cell, str):
        return cell
    if cell[:1] in _USUAL and "\r" not in cell:
        return cell
    # A lone carriage return begins a row for some readers, and is not quoted.
    text = cell.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if _begins_formula(text) and not _NUMBER.fullmatch(text) else text


def _begins_formula(text: str) -> bool:
    """Whether a spreadsheet may take a text for a formula, or for a cell's end and a formula in the next."""
    first = next((letter for letter in text if unicodedata.category(letter) not in _UNSEEN), "")
    return text.lstrip(" ").startswith(("\t", "\n")) or unicodedata.normalize("NFKC", first) in _SIGNS


def json_text(value: Any, indent: int | None = None) -> str:
    """Values as JSON that every reader takes: a number that is none is null, other kinds are their text.

    The text is that of `json.dumps`, which leaves all of it to Python once it indents; here what holds no further list
    or object is left to its quick encoder.
    """
    return _encoded(value, ", ") if indent is None else _indented(value, " " * indent, "\n")


def _indented(value: Any, step: str, line: str) -> str:
    """A value whose lines begin with `line`; those of what it holds are one step further in."""
    if not isinstance(value, _NESTS) or not value:
        return _encoded(value, ", ")
    further = line + step
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    held = _of_object(value, step, further) if isinstance(value, dict) else _of_list(value, step, further)
    return f"{opening}{further}{held}{line}{closing}"


def _of_object(value: dict[Any, Any], step: str, line: str) -> str:
    if _SIMPLE.issuperset(map(type, value.values())):
        return _inside(value, line)
    parts, flat = [], dict[Any, Any]()
    for key, each in value.items():
        if not isinstance(each, _NESTS):
            flat[key] = each
            continue
        if flat:
            parts.append(_inside(flat, line))
            flat = {}
        # The key as an object of its own has it, without the 0 after it.
        parts.append(_inside({key: 0}, line)[:-1] + _indented(each, step, line))
    if flat:
        parts.append(_inside(flat, line))
    return f",{line}".join(parts)


def _of_list(value: list[Any] | tuple[Any, ...], step: str, line: str) -> str:
    if _SIMPLE.issuperset(map(type, value)):
        return _inside(value, line)
    return f",{line}".join([_indented(each, step, line) for each in value])


def _inside(flat: dict[Any, Any] | list[Any] | tuple[Any, ...], line: str) -> str:
    """What a list or object without another in it holds, each on a line of its own."""
    return _encoded(flat, f",{line}")[1:-1]


def _encoded(value: Any, separator: str) -> str:
    encoder = _encoder(separator)
    try:
        return encoder.encode(value)
    except ValueError:
        # Few hold a number that is none, so that all are tried as they are.
        return encoder.encode(_finite(value))


@cache
def _encoder(separator: str) -> json.JSONEncoder:
    return json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=str, separators=(separator, ": "))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, _NESTS) else value
