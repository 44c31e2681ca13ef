"""Cards that share a run: by hand, and how often chance alone names one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from profcore.stats.between import Spread
from profcore.stats.cards import Difference, differences, odd_ones, share_between, spread_of_cards


def ladder(median: float, n: int = 25, step: float = 0.001) -> np.ndarray:
    """Samples around a median, in an order that says nothing."""
    return np.random.default_rng(3).permutation(median * (1 + step * (np.arange(n) - n // 2)))


def test_a_card_that_is_slower_by_more_than_a_percent_is_named_with_how_much():
    cards = {name: {"total_ms": {0: ladder(10 * slower), 5: ladder(40 * slower)}} for name, slower in
             (("a", 1.0), ("b", 1.0), ("c", 1.03))}  # fmt: skip
    found = differences(cards)
    (slow,) = found["c"]
    assert slow.share == pytest.approx(0.03, abs=1e-9)
    assert slow.low < 0.03 < slow.high
    assert slow.counts
    # The others are compared with the median of two, of which one is the slow one: half of log 1.03.
    assert found["a"][0].share == pytest.approx(math.expm1(-math.log(1.03) / 2))


def test_of_several_the_slow_one_does_not_make_the_others_fast():
    cards = {name: {"total_ms": {0: ladder(10.3 if name == 4 else 10.0)}} for name in range(5)}
    named = [name for name, found in differences(cards).items() if any(each.counts for each in found)]
    assert named == [4]


def test_the_odd_one_is_taken_out_and_the_others_stay():
    slower = {"a": 1.0, "b": 1.0, "c": 1.03}
    cards = {name: {"total_ms": {0: ladder(10 * each), 5: ladder(40 * each)}} for name, each in slower.items()}
    assert [list(odd_ones(cards)), odd_ones(cards)["c"][0].share] == [["c"], pytest.approx(0.03)]
    assert odd_ones({name: cards[name] for name in "ab"}) == {}
    # Of two, the one that stands first is kept, whichever is slower.
    assert list(odd_ones({name: cards[name] for name in "ac"})) == ["c"]
    (fast,) = odd_ones({name: cards[name] for name in "ca"})["a"]
    assert fast.share == pytest.approx(1 / 1.03 - 1)
    assert odd_ones({}) == {}


def test_a_difference_counts_beyond_its_interval_and_a_percent_alone():
    assert Difference("total_ms", 0.02, 0.001, 0.04).counts
    assert Difference("total_ms", -0.02, -0.04, -0.001).counts
    assert not Difference("total_ms", 0.02, -0.001, 0.04).counts
    assert not Difference("total_ms", 0.009, 0.008, 0.0095).counts


def test_cards_without_anchors_in_common_or_with_few_samples_are_not_judged():
    assert differences({"a": {"total_ms": {0: ladder(10)}}, "b": {"total_ms": {1: ladder(20)}}}) == {"a": [], "b": []}
    assert differences({"a": {"total_ms": {0: ladder(10)}}, "b": {"total_ms": {0: ladder(20, 5)}}}) == {
        "a": [],
        "b": [],
    }
    assert differences({"a": {"total_ms": {0: ladder(10)}}}) == {"a": []}
    assert differences({}) == {}


def test_missing_values_and_zeros_are_left_out():
    one = np.concatenate([ladder(10), [np.nan] * 3])
    found = differences({"a": {"total_ms": {0: one}}, "b": {"total_ms": {0: ladder(10)}}})
    assert found["a"][0].share == pytest.approx(0)
    assert differences({"a": {"total_ms": {0: np.zeros(9)}}, "b": {"total_ms": {0: ladder(10)}}})["a"] == []


def test_the_share_between_cards_by_hand():
    assert share_between(Spread(0.03, 0, 1, 0.001, 0.04, 2, 1)) == pytest.approx(9 / 25)
    assert share_between(Spread(0, 0, 1, 0, 0, 2, 1)) == 0


def test_the_spread_of_cards_is_that_of_their_medians():
    cards = {name: {"total_ms": {0: ladder(10 * factor)}} for name, factor in (("a", 1.0), ("b", 1.02))}
    found = spread_of_cards(cards, "total_ms")
    # The variance of two logarithms that are log 1.02 apart is half its square; their medians' own error is small.
    assert math.hypot(found.between, found.error) == pytest.approx(math.log(1.02) / math.sqrt(2), rel=1e-3)
    assert spread_of_cards(cards, "llm_decode_ms") is None
    assert spread_of_cards({"a": cards["a"]}, "total_ms") is None


METRICS = ("vision_encoder_ms", "projector_ms", "llm_prefill_ms", "llm_decode_ms", "total_ms")


def drawn(generator: np.random.Generator, cards: int, samples: int, factors=None) -> dict:
    """Cards with three anchors each, of noise of 3 %."""
    return {
        card: {
            metric: {
                anchor: (10 + anchor) * (factors or {}).get(card, 1.0) * np.exp(generator.normal(0, 0.03, samples))
                for anchor in range(3)
            }
            for metric in METRICS
        }
        for card in range(cards)
    }


@pytest.mark.parametrize(("cards", "samples"), [(2, 10), (4, 20)])
def test_of_cards_that_are_alike_chance_seldom_names_one(cards, samples):
    generator, named = np.random.default_rng(11), 0
    runs = 150
    for _ in range(runs):
        found = differences(drawn(generator, cards, samples))
        named += any(each.counts for differing in found.values() for each in differing)
    # 5 % of runs are allowed; of 150 that is 7.5, and 15 are beyond chance at about 1 in 200.
    assert named <= 15


def test_a_card_that_is_three_percent_slower_is_found_again_and_again():
    generator, found = np.random.default_rng(5), 0
    for _ in range(60):
        differing = differences(drawn(generator, 4, 50, {2: 1.03}))
        found += any(each.counts for each in differing[2])
        assert not any(each.counts and each.share > 0.015 for card in (0, 1, 3) for each in differing[card])
    assert found >= 58
