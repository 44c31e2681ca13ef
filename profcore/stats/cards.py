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
    return _differences({card: _all_medians(latencies) for card, latencies in cards.items()})


def _differences(known: Mapping[Card, Mapping[str, dict[int, _Median]]]) -> dict[Card, list[Difference]]:
    """As `differences`, of medians that are worked out."""
    cards = list(known)
    metrics = list(dict.fromkeys(metric for latencies in known.values() for metric in latencies))
    asked = max(len(cards), 1) * max(len(metrics), 1)
    found: dict[Card, list[Difference]] = {card: [] for card in cards}
    for metric in metrics:
        medians = {card: known[card].get(metric, {}) for card in cards}
        others = _others(medians)
        for card in cards:
            if one := _difference(metric, card, medians[card], others, asked):
                found[card].append(one)
    return found


def odd_ones(cards: Mapping[Card, Mapping[str, Anchors]]) -> dict[Card, list[Difference]]:
    """The cards that are not to be pooled with the others, each with what it differs in from those that are.

    The one that differs most is taken out first and the others are compared anew, since one slow card makes all others
    look fast. Of two nobody can tell which is odd: the one that stands first is kept.

    Args:
        cards: As `differences`, the one to be kept of two first.
    """
    left, odd = {card: _all_medians(latencies) for card, latencies in cards.items()}, list[Card]()
    every = dict(left)
    while len(left) > 1:
        found = {card: [each for each in all_of if each.counts] for card, all_of in _differences(left).items()}
        if not any(found.values()):
            break
        if len(left) == 2:
            odd.append(list(left)[1])
        else:
            odd.append(
                max(left, key=lambda card: max((abs(math.log1p(each.share)) for each in found[card]), default=0))
            )
        del left[odd[-1]]
    compared = {card: _differences({**left, card: every[card]})[card] for card in odd}
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


def _all_medians(latencies: Mapping[str, Anchors]) -> dict[str, dict[int, _Median]]:
    return {metric: _medians(anchors) for metric, anchors in latencies.items()}


def _medians(anchors: Anchors) -> dict[int, _Median]:
    found = {}
    for setting, given in anchors.items():
        values = given[~np.isnan(given)].astype(float)
        if values.size >= SMALLEST_FOR_MEDIAN and values.min() > 0:
            logs = np.log(values)
            found[setting] = _Median(percentile(np.sort(logs), 50), median_error_square(logs), values.size)
    return found


def _others(medians: Mapping[Card, Mapping[int, _Median]]) -> dict[tuple[Card, int], tuple[float, float]]:
    """Of each card and setting the median of the other cards' logarithms, and the variance of its error."""
    found: dict[tuple[Card, int], tuple[float, float]] = {}
    for setting in dict.fromkeys(setting for each in medians.values() for setting in each):
        cards = [card for card, each in medians.items() if setting in each]
        logs = np.array([medians[card][setting].log for card in cards])
        errors = np.array([medians[card][setting].error for card in cards])
        number, order = len(cards) - 1, np.sort(logs)
        if not number:
            continue
        ranks = np.searchsorted(order, logs)
        widening = math.pi / 2 if number > 2 else 1.0
        for place, card in enumerate(cards):
            left = np.delete(order, ranks[place])
            error = (errors.sum() - errors[place]) / number**2 * widening
            found[card, setting] = float((left[(number - 1) // 2] + left[number // 2]) / 2), float(error)
    return found


def _difference(
    metric: str,
    card: Card,
    own: Mapping[int, _Median],
    others: Mapping[tuple[Card, int], tuple[float, float]],
    asked: int,
) -> Difference | None:
    """A card against the others; None where no anchor is known of both."""
    both = [(one, others[card, setting]) for setting, one in own.items() if (card, setting) in others]
    if not both:
        return None
    middle = sum(one.log - log for one, (log, _) in both) / len(both)
    error = math.sqrt(sum(one.error + square for one, (_, square) in both)) / len(both)
    freedom = sum(one.samples - 1 for one, _ in both)
    reach = critical_of(freedom, 1 - (1 - _CONFIDENCE) / asked) * error
    return Difference(metric, math.expm1(middle), math.expm1(middle - reach), math.expm1(middle + reach))
