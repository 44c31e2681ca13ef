"""Whether one run is slower than another by more than a margin, asked of many latencies at once.

Two questions are asked of each latency, and many latencies are asked about:

- *Is it slower beyond the margin?* One such answer fails the whole, so that the more latencies there are, the likelier
  one of them is slower by chance. The lower ends are therefore taken at a confidence at which all of them hold together
  (Holm 1979, step by step with Bonferroni's intervals).
- *Is it the same or faster?* The whole passes only where every latency does, and a chance of passing wrongly does not
  grow with their number (intersection-union, Berger 1982). Each upper end is taken at 95 % by itself.

So a run is called slower wrongly in at most 2.5 %, and one that is slower is passed wrongly in at most 2.5 %, as far as
its intervals hold what they say. Between both lies *undecided*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from profcore.stats.between import spread_reach
from profcore.stats.log_ratios import LogRatio, log_ratio
from profcore.stats.medians import SMALLEST_FOR_RATIO
from profcore.stats.student import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from profcore.stats.between import Spread

SLOWER, PASSED, UNDECIDED = "slower", "same or faster", "undecided"

_MOST_SAMPLES = 1_000_000


@dataclass(frozen=True)
class Question:
    """A latency of which it is asked whether it is slower.

    Attributes:
        pairs: For each setting its samples before and after, as `log_ratio` takes them.
        spreads: How far processes differ, before and after; None where that is not known.
        decides: Whether the whole passes only where this does; else it can only fail it.
    """

    pairs: Sequence[tuple[np.ndarray, np.ndarray]]
    spreads: tuple[Spread, Spread] | None = None
    decides: bool = True


@dataclass(frozen=True)
class Answer:
    """What the samples say of a question.

    Attributes:
        ratio: After over before; NaN where there is none.
        low: The lower end of its 95 % interval; NaN where there is none.
        high: The upper end.
        sure_low: The lower end at the confidence at which all questions' hold together.
        verdict: `SLOWER`, `PASSED` or `UNDECIDED`.
        needed: Of an undecided one, how many samples a setting of the run after has to have to be decided, if medians
            and spreads stay as they are; None where no number of them decides.
        both: The same if the run before gets as many more, in proportion.
    """

    ratio: float
    low: float
    high: float
    sure_low: float
    verdict: str
    needed: int | None = None
    both: int | None = None


def answer_all(questions: Sequence[Question], margin: float) -> list[Answer]:
    """The answer to each of some questions.

    Args:
        questions: All that are asked at once.
        margin: The smallest slowing that counts, as a share.
    """
    limit, singly = math.log1p(margin), [log_ratio(each.pairs) for each in questions]
    asked = [place for place, each in enumerate(singly) if each.number]
    slower: set[int] = set()
    surely: dict[int, LogRatio] = {}
    confidence = together(len(asked))
    while remaining := [place for place in asked if place not in slower]:
        confidence = together(len(remaining))
        surely |= {place: log_ratio(questions[place].pairs, confidence) for place in remaining}
        found = {place for place in remaining if _low(surely[place], questions[place], confidence) > limit}
        if not found:
            break
        slower |= found
    answers = []
    for place, (one, question) in enumerate(zip(singly, questions, strict=True)):
        if place not in surely:
            answers.append(Answer(math.nan, math.nan, math.nan, math.nan, UNDECIDED))
            continue
        sure = _low(surely[place], question, confidence)
        low, high = _low(one, question, CONFIDENCE), _high(one, question, CONFIDENCE)
        verdict = SLOWER if place in slower else PASSED if high <= limit else UNDECIDED
        needed = both = None
        if verdict == UNDECIDED:
            needed, both = _needed(one, surely[place], question, limit, confidence)
        low, high, sure = (_exponential(end) for end in (low, high, sure))
        answers.append(Answer(math.exp(one.value), low, high, sure, verdict, needed, both))
    return answers


def verdict_of(questions: Sequence[Question], answers: Sequence[Answer]) -> str:
    """What the answers say together."""
    if any(each.verdict == SLOWER for each in answers):
        return SLOWER
    deciding = [answer for question, answer in zip(questions, answers, strict=True) if question.decides]
    return PASSED if deciding and all(each.verdict == PASSED for each in deciding) else UNDECIDED


def together(number: int) -> float:
    """The confidence of each of some intervals at which all hold together in 95 %."""
    return 1 - (1 - CONFIDENCE) / max(number, 1)


def fewest(confidence: float) -> int:
    """How many samples a median needs to have an interval of a confidence."""
    return math.ceil(math.log2(2 / (1 - confidence)) - 1e-9)


def _low(found: LogRatio, question: Question, confidence: float) -> float:
    """The lower end in the logarithm, with how far processes differ; infinite where there are too few samples."""
    if found.fewest < SMALLEST_FOR_RATIO:
        return -math.inf
    more = spread_reach(*question.spreads, confidence) if question.spreads else 0.0
    return found.value - math.hypot(*map(math.sqrt, found.down), more) - found.off


def _high(found: LogRatio, question: Question, confidence: float) -> float:
    """The upper end, as `_low`."""
    if found.fewest < SMALLEST_FOR_RATIO:
        return math.inf
    more = spread_reach(*question.spreads, confidence) if question.spreads else 0.0
    return found.value + math.hypot(*map(math.sqrt, found.up), more) + found.off


def _exponential(end: float) -> float:
    return math.exp(end) if math.isfinite(end) else math.nan


def _needed(
    one: LogRatio, surely: LogRatio, question: Question, limit: float, confidence: float
) -> tuple[int | None, int | None]:
    """How many samples the run after has to have, alone and with the run before in proportion."""
    passing = one.value <= limit
    level = CONFIDENCE if passing else confidence
    (before, after), off = (one.up if passing else surely.down), one.off
    number = max(len(pair[1]) for pair in question.pairs)
    least = fewest(level)
    gap = abs(limit - one.value) - off
    fixed = spread_reach(*question.spreads, level) ** 2 if question.spreads else 0.0
    if one.fewest < SMALLEST_FOR_RATIO:
        # Nothing is known of the spread: as many as an interval needs are a beginning.
        return least, least
    if not math.isfinite(before + after):
        # At this confidence there is no interval yet; what is known of the spread at 95 % serves.
        before, after = one.up if passing else one.down
        if not math.isfinite(before + after):
            return None, None
    left = gap * abs(gap) - fixed
    if left <= 0:
        return None, None
    alone = left - before
    return (
        _bounded(math.ceil(number * after / alone), least) if alone > 0 else None,
        _bounded(math.ceil(number * (before + after) / left), least),
    )


def _bounded(number: int, least: int) -> int | None:
    return max(number, least) if number <= _MOST_SAMPLES else None
