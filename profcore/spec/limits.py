"""How much a file may ask of this machine before it is refused; standard library only.

A limit that a person may need to raise is read from the environment each time, so that it can be set for one command.
"""

from __future__ import annotations

import os

from profcore.errors import UserError

FILE_VARIABLE = "PROFCORE_LARGEST_FILE_MB"
PIXELS_VARIABLE = "PROFCORE_MOST_MEGAPIXELS"

LARGEST_HEADER = 100_000_000
"""Bytes of a safetensors header. Source: the format's own limit."""

MOST_VALUES = 2_000_000
"""Values of a JSON document that is read as a whole (see `profcore.spec.text.parse_json`): about 150 MB of memory."""

LARGEST_PICTURE_FILE = 500_000_000
"""Bytes of a picture as a file; what it takes once it is decoded is another matter."""


def largest_file() -> int:
    """Bytes of a file of questions, annotations or scores; 200 MB unless told otherwise.

    Raises:
        UserError: What was set is no number.
    """
    return _millions(FILE_VARIABLE, 200)


def most_result_values() -> int:
    """Values of a result file, which may hold a number for every decode step; it grows with `largest_file`.

    Raises:
        UserError: What was set is no number.
    """
    return largest_file() // 40


def most_pixels() -> int:
    """Pixels of a picture, known before it is decoded; 50 megapixels unless told otherwise.

    Raises:
        UserError: What was set is no number.
    """
    return _millions(PIXELS_VARIABLE, 50)


def _millions(variable: str, usual: int) -> int:
    given = os.environ.get(variable, "").strip()
    if not given:
        return usual * 1_000_000
    if not given.isascii() or not given.isdecimal() or not 0 < int(given) <= 1_000_000:
        raise UserError(f"{variable} is no whole number from 1 to 1,000,000: it counts millions.")
    return int(given) * 1_000_000
