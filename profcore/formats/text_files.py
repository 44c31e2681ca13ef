"""CSV and JSON that other programs open: no cell is a formula, no number is NaN."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import Any

import pandas as pd

# What begins a formula, also in one of the wide forms that Asian keyboards give.
_SIGNS = set("=+-@")
# Kinds of letters that nobody sees, and that a spreadsheet may pass over before a formula: spaces, controls, marks.
_UNSEEN = ("Zs", "Zl", "Zp", "Cc", "Cf")
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
    # A lone carriage return begins a row for some readers, and is not quoted.
    text = cell.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if _begins_formula(text) and not _NUMBER.fullmatch(text) else text


def _begins_formula(text: str) -> bool:
    """Whether a spreadsheet may take a text for a formula, or for a cell's end and a formula in the next."""
    first = next((letter for letter in text if unicodedata.category(letter) not in _UNSEEN), "")
    return text.lstrip(" ").startswith(("\t", "\n")) or unicodedata.normalize("NFKC", first) in _SIGNS


def json_text(value: Any, indent: int | None = None) -> str:
    """Values as JSON that every reader takes: a number that is none is null, other kinds are their text."""
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False, default=str)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value
