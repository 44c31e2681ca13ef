"""Text: that from elsewhere made safe to keep, and a number or a name as a sentence has it.

What is safe to keep, of text as of JSON, has no half characters, no NaN and no bottomless nesting.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

_DEEPEST = 100
_MOST_SUGGESTED = 2
_LONGEST_MISTYPED = 200
_HALF = re.compile("[\ud800-\udfff]")


def whole_text(text: str) -> str:
    """The text with each half of a surrogate pair, which no encoding can hold, replaced by U+FFFD."""
    return _HALF.sub("�", text)


def some(items: Sequence[object], most: int = 5) -> str:
    """The first few of some rows or names, as a sentence lists them, and how many more there are."""
    more = len(items) - most
    return ", ".join(map(str, items[:most])) + (f" and {more} more" if more > 0 else "")


def counted(number: int, noun: str, plural: str = "") -> str:
    """A number of things, as '1 sample', '1,200 samples'.

    Args:
        number: How many.
        noun: One of them.
        plural: Several of them, where that is not the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def samples_words(run: Mapping[str, Any]) -> str:
    """How many samples a run of `Reader.runs` has, and of those how many are in no figure."""
    aside = run.get("num_set_aside") or 0
    left_out = f", {aside:,} of them left out of every figure" if aside else ""
    return counted(run["num_samples"], "sample") + left_out


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """The question whether another word was meant, in whatever case it was written; empty where none is like it."""
    by_lower = {each.lower(): each for each in known}
    # Beyond any name; how alike two texts are takes as long as they are, many times over.
    close = get_close_matches(word[:_LONGEST_MISTYPED].lower(), by_lower, _MOST_SUGGESTED)
    return f"did you mean {' or '.join(by_lower[each] for each in close)}?" if close else ""


def are(number: int) -> str:
    """The verb after a number of things."""
    return "is" if number == 1 else "are"


def with_article(name: str) -> str:
    """A name with 'a' or 'an', as it sounds: 'an NVIDIA H100', 'an AMD EPYC', 'a CPU', 'an 8-core machine'."""
    return f"{'an' if _begins_with_a_vowel(name) else 'a'} {name}"


def _begins_with_a_vowel(name: str) -> bool:
    found = _FIRST_WORD.match(name)
    word = found[0] if found else ""
    if word[:1].isdigit():
        return word[0] == "8" or (word[:2] in ("11", "18") and len(word) % 3 == 2)
    # Letters that are read one by one sound as they are called, and so does a word without a vowel.
    if len(word) == 1 or (word.isupper() and (word == _EN_VIDIA or not set(word) & set("AEIOUY"))):
        return word[0].upper() in "AEFHILMNORSX"
    lower = word.lower()
    return lower[:1] in ("a", "e", "i", "o", "u") and not lower.startswith(_AS_CONSONANTS)


_FIRST_WORD = re.compile(r"\d+|[^\W\d_]+")
_EN_VIDIA = "NVIDIA"
_AS_CONSONANTS = ("uni", "use", "usu", "eu", "one", "once")


def parse_json(data: bytes | str, most: int | None = None) -> Any:
    """The values of a JSON text; NaN, which Python's own writers leave for a missing number, is None.

    Numbers of too many digits for a float are infinite, as `Infinity` is: who reads a number must look.

    Args:
        data: The text.
        most: How many values it may hold, a list or an object counted as four, which it takes as much memory as.

    Raises:
        ValueError: It is no JSON, no text, holds more values, or is nested more than 100 levels deep; the message is a
            short reason.
    """
    if most is not None and json_values(data) > most:
        raise ValueError("it is too large: it holds too many values")
    try:
        found = json.loads(data, parse_constant=_constant, parse_int=_whole)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8") from None
    if _has_only_whole_characters(data):
        _check_depth(found)
        return found
    return clean_values(found)


def _has_only_whole_characters(data: bytes | str) -> bool:
    """Whether a JSON text, by a look that costs next to nothing, can hold no half of a pair of characters.

    Halves are U+D800 to U+DFFF: escaped they begin with a d. In an encoding of more bytes a character, which have zeros
    between them, nothing is told at a glance.
    """
    if isinstance(data, str):
        return data.isascii() and "\\ud" not in data and "\\uD" not in data
    return data.isascii() and b"\\ud" not in data and b"\\uD" not in data and b"\0" not in data


def _check_depth(found: Any) -> None:
    level = [found] if type(found) in (dict, list) else []
    for _ in range(_DEEPEST):
        within = (each for value in level for each in (value.values() if type(value) is dict else value))
        level = [each for each in within if type(each) in (dict, list)]
        if not level:
            return
    raise ValueError("it is nested too deeply")


def json_values(data: bytes | str) -> int:
    """At most how many values a JSON text holds, by its punctuation: known before any of them takes memory."""
    if isinstance(data, str):
        data = data.encode("utf-8", "replace")
    return data.count(b",") + data.count(b":") + 4 * (data.count(b"[") + data.count(b"{"))


def _constant(name: str) -> float | None:
    return None if name == "NaN" else float(name.replace("Infinity", "inf"))


def _whole(digits: str) -> int | float:
    # Beyond this many digits nothing that is counted here lies, and Python itself refuses some of them.
    return int(digits) if len(digits) <= 300 else float("-inf" if digits.startswith("-") else "inf")


def clean_values(value: Any, depth: int = 0) -> Any:
    """Values of JSON with whole characters alone.

    Raises:
        ValueError: They are nested more than 100 levels deep.
    """
    if isinstance(value, str):
        return whole_text(value) if not value.isascii() else value
    if isinstance(value, list | dict):
        if depth >= _DEEPEST:
            raise ValueError("it is nested too deeply")
        if isinstance(value, dict):
            return {clean_values(key, depth): clean_values(each, depth + 1) for key, each in value.items()}
        # Lists of numbers, which decode steps are, need no look at each.
        if all(type(each) is float for each in value):
            return value
        return [clean_values(each, depth + 1) for each in value]
    return value


_LONGEST_WORD, _LONGEST_SENTENCE = 80, 200


def brief(sentence: str) -> str:
    """A sentence short enough for a page, on one line: long names lose their middle, and a long sentence its end."""
    words = sentence.split(" ")
    line = " ".join(each if len(each) <= _LONGEST_WORD else f"{each[:40]}…{each[-30:]}" for each in words)
    line = " ".join(line.split())
    return line if len(line) <= _LONGEST_SENTENCE else f"{line[: _LONGEST_SENTENCE - 1]}…"
