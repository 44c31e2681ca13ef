"""A trend in time is told from wandering."""

import math

import numpy as np
import pytest

from profcore import stats


def test_a_line_has_a_trend_and_its_shuffled_values_have_none():
    line = 100 + 0.05 * np.arange(60)
    assert stats.trend_p_value(line) < 1e-6
    assert stats.trend_p_value(line[::-1]) < 1e-6
    assert stats.trend_p_value(np.random.default_rng(0).permutation(line)) > 0.05


@pytest.mark.parametrize("series", [np.full(100, 3.0), np.arange(float(stats.SMALLEST_FOR_TREND - 1)), np.array([])])
def test_what_is_constant_or_short_cannot_be_told(series):
    assert math.isnan(stats.trend_p_value(series))


def test_one_outlier_makes_no_trend():
    series = np.random.default_rng(0).normal(100, 1, 60)
    before = stats.trend_p_value(series)
    series[-1] = 1e6
    assert stats.trend_p_value(series) > before / 10 > 0.002
