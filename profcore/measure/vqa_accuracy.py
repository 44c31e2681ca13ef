"""VQA accuracy, as VQA v2 defines it; pure.

An answer is as right as people gave it: min(matches / 3, 1) against each nine of the ten annotators, averaged. Both
sides are first written alike: lower case, digits for number words, no articles, no punctuation.

Source: Goyal et al. 2017 (arXiv:1612.00837) and https://visualqa.org/evaluation, whose rules are restated here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_ARTICLES = {"a", "an", "the"}
_NUMBERS = ["none", "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_DIGITS = {word: str(max(place - 1, 0)) for place, word in enumerate(_NUMBERS)}
_CONTRACTIONS = {
    word.replace("'", ""): word
    for word in (
        *("aren't", "can't", "couldn't", "didn't", "doesn't", "don't", "hadn't", "hasn't", "haven't", "isn't", "it's"),
        *("shouldn't", "that's", "there's", "they're", "wasn't", "weren't", "what's", "where's", "who's", "won't"),
        *("wouldn't", "you're"),
    )
}
_NEEDED = 3


def normalise(answer: str) -> str:
    """An answer as it is compared."""
    text = answer.replace("\n", " ").replace("\t", " ").strip().lower()
    # A comma inside a number is dropped, one between words parts them; a point is kept where it is a decimal one.
    text = re.sub(r"(?<=\d),(?=\d)", "", text)
    text = re.sub(r"(?<!\d)\.|\.(?!\d)", "", text)
    text = re.sub(r"[;/\[\]\"{}()=+\\_\-<>@`,?!:]", " ", text)
    words = (_DIGITS.get(word, word) for word in text.split() if word not in _ARTICLES)
    return " ".join(_CONTRACTIONS.get(word, word) for word in words)


def vqa_accuracy(answer: str, people: Sequence[str]) -> float:
    """How right an answer is, from 0 to 1.

    Args:
        answer: What the model said.
        people: What people said; ten in VQA v2. Of fewer than four, as many matches as there are others suffice.
    """
    if not people:
        raise ValueError("accuracy needs people's answers")
    given, said = normalise(answer), [normalise(each) for each in people]
    if len(said) == 1:
        return float(given == said[0])
    scores = []
    for left_out in range(len(said)):
        matches = sum(given == other for place, other in enumerate(said) if place != left_out)
        scores.append(min(matches / min(_NEEDED, len(said) - 1), 1.0))
    return sum(scores) / len(scores)
