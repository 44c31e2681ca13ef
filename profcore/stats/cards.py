"""Whether cards that share a run are alike: each card's anchors against the other cards', latency by latency.

Of card c and an anchor a, m(c, a) is the median of its samples, whose standard error comes from its exact interval. A
card's difference is the mean over anchors of

    log m(c, a) - median over the other cards of log m(·, a),

whose standard error adds up in squares that of the card and that of the others' median, of which three or more have
π/2 of a mean's variance. Its interval is Student's t with as many degrees of freedom as there are samples beyond one an
anchor; of many cards and latencies each is asked at a share of 5 %, so that of cards that are alike one is named in
one run of twenty. A difference that is real and small does nobody harm: it also has to be more than 1 %.

What cards differ by holds what processes differ by, since each card has a process of its own.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from profcore.stats.between import Spread, median_error_square, pooled_spread
from profcore.stats.student import critical_of
from profcore.stats.summary import SMALLEST_FOR_MEDIAN, percentile

Card = TypeVar("Card", bound=Hashable)

LARGEST_DIFFERENCE = 0.01
"""The share by which a card may differ and still be pooled, whatever its interval says."""

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Difference:
    """How a card differs from the others in a latency, as a share: 0.02 is 2 % more.

    Attributes:
        metric: The latency.
        share: By how much.
        low: The lower end of its interval.
        high: The upper end.
    """

    metric: str
    share: float
    low: float
    high: float

    @property
    def counts(self) -> bool:
        """Whether it is more than chance and more than is borne."""
        beyond = self.low > 0 or self.high < 0
        return beyond and (abs(self.share) > LARGEST_DIFFERENCE)


Anchors = Mapping[int, np.ndarray]
"""The samples of one latency at each setting that several cards measured, in their order in time."""


def differences(cards: Mapping[Card, Mapping[str, Anchors]]) -> dict[Card, list[Difference]]:
    """How each card differs from all the others, in each latency that can be compared.

    Args:
        cards: Each card's samples, by the latency.
    """
    metrics = list(dict.fromkeys(metric for latencies in cards.values() for metric in latencies))
    asked = max(len(cards), 1) * max(len(metrics), 1)
    found: dict[Card, list[Difference]] = {card: [] for card in cards}
    for metric in metrics:
        medians = {card: _medians(latencies.get(metric, {})) for card, latencies in cards.items()}
        for card in cards:
            others = [each for other, each in medians.items() if other != card]
            if one := _difference(metric, medians[card], others, asked):
                found[card].append(one)
    return found


def odd_ones(cards: Mapping[Card, Mapping[str, Anchors]]) -> dict[Card, list[Difference]]:
    """The cards that are not to be pooled with the others, each with what it differs in from those that are.

    The one that differs most is taken out first and the others are compared anew, since one slow card makes all others
    look fast. Of two nobody can tell which is odd: the one that stands first is kept.

    Args:
        cards: As `differences`, the one to be kept of two first.
    """
    left, odd = dict(cards), list[Card]()
    while len(left) > 1:
        found = {card: [each for each in all_of if each.counts] for card, all_of in differences(left).items()}
        if not any(found.values()):
            break
        if len(left) == 2:
            odd.append(list(left)[1])
        else:
            odd.append(
                max(left, key=lambda card: max((abs(math.log1p(each.share)) for each in found[card]), default=0))
            )
        del left[odd[-1]]
    compared = {card: differences({**left, card: cards[card]})[card] for card in odd}
    return {card: [each for each in all_of if each.counts] for card, all_of in compared.items()}


def spread_of_cards(cards: Mapping[Card, Mapping[str, Anchors]], metric: str) -> Spread | None:
    """How far cards differ in a latency, in the mean over anchors; None where fewer than two can be compared."""
    settings = sorted({setting for latencies in cards.values() for setting in latencies.get(metric, {})})
    return pooled_spread(
        [
            [each[setting] for card in cards.values() if setting in (each := card.get(metric, {}))]
            for setting in settings
        ]
    )


def share_between(found: Spread) -> float:
    """Of the variance of one sample taken on any of the cards, the share that is between cards."""
    all_of_it = found.between**2 + found.within**2
    return found.between**2 / all_of_it if all_of_it else 0.0


@dataclass(frozen=True)
class _Median:
    """The logarithm of a median, the variance of its error, and its samples."""

    log: float
    error: float
    samples: int


def _medians(anchors: Anchors) -> dict[int, _Median]:
    found = {}
    for setting, given in anchors.items():
        values = given[~np.isnan(given)].astype(float)
        if values.size >= SMALLEST_FOR_MEDIAN and values.min() > 0:
            logs = np.log(values)
            found[setting] = _Median(percentile(np.sort(logs), 50), median_error_square(logs), values.size)
    return found


def _difference(
    metric: str, own: Mapping[int, _Median], others: list[dict[int, _Median]], asked: int
) -> Difference | None:
    """A card against the others; None where no anchor is known of both."""
    parts, errors, freedom = [], [], 0
    for setting, one in own.items():
        there = [each[setting] for each in others if setting in each]
        if not there:
            continue
        parts.append(one.log - float(np.median([each.log for each in there])))
        error = float(np.mean([each.error for each in there])) / len(there)
        errors.append(one.error + error * (math.pi / 2 if len(there) > 2 else 1.0))
        freedom += one.samples - 1
    if not parts:
        return None
    middle, error = float(np.mean(parts)), math.sqrt(sum(errors)) / len(errors)
    reach = critical_of(freedom, 1 - (1 - _CONFIDENCE) / asked) * error
    return Difference(metric, math.expm1(middle), math.expm1(middle - reach), math.expm1(middle + reach))
