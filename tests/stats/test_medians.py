"""Slopes of sweeps and ratios, against values worked out by hand."""

import math

import numpy as np
import pytest

from profcore import stats


def test_the_ratio_at_equal_tokens_is_the_median_over_the_line_between_medians():
    sweep_x, sweep_y = np.repeat([100.0, 200.0], 5), np.array([9.0, 9.5, 10, 10.5, 11, 19, 19.5, 20, 20.5, 21])
    # The line gives 10, 15 and 20; the ratios are 1.1, 1.2 and 0.9, twice; a seventh point lies outside.
    x, y = np.array([100.0, 150, 200, 100, 150, 200, 300]), np.array([11.0, 18, 18, 11, 18, 18, 99])
    found = stats.ratio_at_equal_x(sweep_x, sweep_y, x, y)
    assert (found.value, found.n) == (pytest.approx(1.1), 6)
    assert found.low <= 0.9 < 1.2 <= found.high
    few = stats.ratio_at_equal_x(sweep_x, sweep_y, np.array([100.0]), np.array([11.0]))
    assert few.value == pytest.approx(1.1)
    assert math.isnan(few.low)
    assert stats.ratio_at_equal_x(sweep_x, sweep_y, np.array([500.0]), np.array([1.0])).n == 0


def test_the_pooled_ratio_is_the_geometric_mean_over_settings():
    pairs = [(np.full(5, 10.0), np.full(5, 20.0)), (np.full(5, 10.0), np.full(5, 5.0))]
    found = stats.pooled_ratio(pairs)
    assert (found.value, found.low, found.high, found.n) == pytest.approx((1.0, 1.0, 1.0, 2))
    assert stats.ratio_of_medians(np.array([2.0, 4, 9]), np.array([2.0, 2, 8])).value == pytest.approx(0.5)
    assert stats.pooled_ratio([(np.zeros(3), np.ones(3)), (np.array([math.nan]), np.ones(3))]).n == 0


def test_a_ratios_interval_follows_from_those_of_the_medians():
    # Least and most enclose the median of 6; in logarithms both reach ln 2 down and ln 3 up.
    before = np.array([0.5, 1, 1, 1, 1, 3])
    found = stats.ratio_of_medians(before, before)
    reach = math.hypot(math.log(2), math.log(3))
    assert (found.value, found.low, found.high) == pytest.approx((1, math.exp(-reach), math.exp(reach)))


def test_a_slopes_interval_follows_from_those_of_the_medians():
    y = np.array([0.0, 5, 5, 5, 5, 8, 0, 6, 6, 6, 6, 7])
    found = stats.slope(np.repeat([1.0, 2.0], 6), y)
    assert found.value == 1
    # The second median reaches 6 down and 1 up, the first 5 down and 3 up.
    assert (found.low, found.high) == pytest.approx((1 - math.hypot(6, 3), 1 + math.hypot(1, 5)))


def undefined(found):
    return math.isnan(found.low) and math.isnan(found.high) and not math.isnan(found.value)


def test_no_interval_below_the_number_of_samples_that_supports_it():
    y = np.random.default_rng(0).lognormal(size=100)
    for n in range(1, 8):
        supported = n >= stats.SMALLEST_FOR_RATIO
        assert undefined(stats.ratio_of_medians(y[:n], y[50:])) is not supported
        assert undefined(stats.ratio_of_medians(y[50:], y[:n])) is not supported
        x = np.append(np.ones(50), np.full(n, 2.0))
        assert undefined(stats.slope(x, y[: x.size])) is (n < stats.SMALLEST_FOR_SLOPE)
        # So must the reference be known, and as many pictures stand beside it.
        beside = stats.ratio_at_equal_x(np.repeat([1.0, 2.0], n), y[: 2 * n], np.full(30, 1.5), y[30:60])
        assert undefined(beside) is (n < stats.SMALLEST_FOR_SLOPE)
        beside = stats.ratio_at_equal_x(
            np.repeat([1.0, 2.0], 20), y[:40], np.full(40, 1.5), y[40:80], np.arange(40) % n
        )
        assert undefined(beside) is (n < stats.SMALLEST_FOR_RATIO_AT_EQUAL_X)


def test_settings_of_few_samples_are_pooled_by_how_their_ratios_differ():
    draw = np.random.default_rng(0)
    pairs = [(draw.lognormal(0, 0.01, 1), 1.3 * draw.lognormal(0, 0.01, 1)) for _ in range(40)]
    found = stats.pooled_ratio(pairs)
    assert 1.28 < found.low < 1.3 < found.high < 1.32
    smallest = stats.SMALLEST_FOR_POOLED_RATIO
    assert not undefined(stats.pooled_ratio(pairs[:smallest]))
    assert undefined(stats.pooled_ratio(pairs[: smallest - 1]))


def test_a_bound_that_is_no_number_is_no_bound():
    found = stats.ratio_of_medians(np.array([0.0, 1, 1, 1, 1, 1]), np.ones(6))
    assert found.value == 1
    assert undefined(found)


@pytest.mark.parametrize("settings", range(2, 12))
def test_equal_samples_of_a_coarse_clock_do_not_leave_the_last_bit_to_decide(settings):
    x = np.repeat(np.arange(settings) + 1.0, 30)
    for step in (0.1, 0.3, 0.7, 1.1):
        # Every sample lies on a line of this slope, as far as doubles can say it.
        found = stats.slope(x, (3 + x) * step)
        assert found.low <= step <= found.high
        assert found.high - found.low < 1e-12
        pairs = [(np.full(30, 0.1 * place * step), np.full(30, place * step)) for place in np.arange(settings) + 1]
        ratio = stats.pooled_ratio(pairs)
        assert ratio.low <= 10 <= ratio.high


def test_neighbours_that_go_together_widen_the_interval():
    draw = np.random.default_rng(0)
    alone = draw.lognormal(sigma=0.05, size=100)
    # The same samples, but in order: each is like its neighbours.
    together = np.sort(alone)
    wide, narrow = (stats.ratio_of_medians(values, draw.permutation(alone)) for values in (together, alone))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
