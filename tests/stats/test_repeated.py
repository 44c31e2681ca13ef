"""Intervals of medians that are looked at after every sample."""

import math

import numpy as np
import pytest

from profcore import stats
from profcore.stats.repeated import first_narrow, look_level, look_ranks

MOST = 60


def first_misses(ranks, number=4000):
    """Of many walks of fair steps, the share that some interval up to the most samples misses."""
    below = np.cumsum(np.random.default_rng(0).random((number, len(ranks) - 1)) < 0.5, axis=1)
    missed = np.zeros(number, dtype=bool)
    for n, rank in enumerate(ranks[1:], start=1):
        missed |= (below[:, n - 1] <= rank) | (n - below[:, n - 1] <= rank)
    return missed.mean()


def test_all_looks_together_are_wrong_as_often_as_they_may():
    share = first_misses(look_ranks(MOST))
    # By the exact level 5 % at most, and hardly less; by 4,000 walks known to ±0.7 % (2 standard errors).
    assert 0.04 < share < 0.057
    assert first_misses([-1 if (found := stats.median_ranks(n)) is None else found[0] for n in range(MOST + 1)]) > 0.15


def test_the_level_falls_with_the_number_of_looks_and_is_the_usual_one_for_a_single_look():
    levels = [look_level(most) for most in (6, 20, 60, 300)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == pytest.approx(0.05)
    assert look_ranks(6)[6] == stats.median_ranks(6)[0]
    assert [first_narrow(most) for most in (6, 60, 300)] == [6, 8, 9]


def test_the_interval_is_of_order_statistics_and_missing_values_are_left_out():
    values = np.append(np.arange(1.0, 12.0)[::-1], np.nan)
    rank = look_ranks(MOST)[11]
    found = stats.repeated_interval(values, MOST)
    assert (found.value, found.low, found.high, found.n) == (6, 1 + rank, 11 - rank, 11)
    few = stats.repeated_interval(values[:7], MOST)
    assert (few.value, few.n) == (8, 7)
    assert math.isnan(few.low)
    assert math.isnan(few.high)
    assert stats.repeated_interval(np.array([]), MOST).n == 0
    assert stats.interval_for(None)(values) == stats.median_interval(values)
    assert stats.interval_for(MOST)(values) == found


def test_narrow_is_told_by_both_ends():
    values = np.r_[np.tile([10.0, 10.1], 20), 10.05]
    assert stats.is_narrow(values, 0.0051, MOST)
    assert not stats.is_narrow(values, 0.0049, MOST)
    assert not stats.is_narrow(np.full(7, 1.0), 0.5, MOST)
    assert stats.is_narrow(np.full(8, 1.0), 0.01, MOST)


def test_neighbours_that_go_together_widen_it():
    alone = np.random.default_rng(0).lognormal(sigma=0.05, size=50)
    wide, narrow = (stats.repeated_interval(values, MOST) for values in (np.sort(alone), alone))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_widened_it_says_no_latency_below_zero():
    values = np.repeat([20.0, 100.0, 20.0, 100.0], 8) + np.arange(32)
    found = stats.repeated_interval(values, MOST)
    assert found.low == 0 < found.value < found.high
    # What is left of a total may lie below, since clocks differ.
    assert stats.repeated_interval(values - 50, MOST).low < -50


def test_about_as_many_samples_are_expected_as_it_takes():
    draw, most = np.random.default_rng(1), 300
    for sigma in (0.01, 0.03):
        rows = np.exp(sigma * draw.normal(size=(20, most)))
        took = [next(n for n in range(6, most + 1) if stats.is_narrow(row[:n], 0.01, most)) for row in rows]
        quartiles = np.percentile(rows[0], [25, 50, 75])
        expected = stats.expected_samples(quartiles[2] - quartiles[0], quartiles[1], 0.01, most)
        assert 0.5 < expected / np.median(took) < 2
    assert stats.expected_samples(0.0, 1.0, 0.01, most) == 9
    assert stats.expected_samples(1.0, 1.0, 0.01, most) == stats.expected_samples(math.nan, 1.0, 0.01, most) == most
