"""Lines through points, against values worked out by hand."""

import math

import numpy as np
import pytest

from profcore import stats


def test_the_slope_of_points_is_the_least_squares_line():
    # Mean of x 2, of y 4: ((-1)(-2) + 0(-1) + 1*3) / 2 = 2.5.
    found = stats.points_slope(np.array([1.0, 2, 3]), np.array([2.0, 3, 7]))
    assert found.value == pytest.approx(2.5)
    assert found.through == (2.0, 4.0)
    assert found.at(3) == pytest.approx(6.5)


def test_the_interval_of_a_slope_draws_pictures_and_not_points():
    x = np.tile([1.0, 2, 3], 4)
    pictures = np.repeat(["a", "b", "c", "d"], 3)
    offsets = np.repeat([0.0, 10, 20, 30], 3)
    # Every picture lies on a line of slope 2, each higher than the last: drawing pictures always gives 2.
    found = stats.points_slope(x, 2 * x + offsets, pictures)
    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))
    loose = stats.points_slope(x, 2 * x + offsets)
    assert loose.low < 1 < 3 < loose.high


def test_many_pictures_have_about_the_textbooks_interval():
    draw = np.random.default_rng(0)
    x = draw.uniform(0, 10, 5000)
    y = 3 * x + draw.normal(0, 1, 5000)
    found = stats.points_slope(x, y)
    # The textbook's standard error, 1 / sqrt(sum of squares around the mean), and the 97.5 % of skewed samples.
    reach = 2.24 / math.sqrt(((x - x.mean()) ** 2).sum())
    assert found.low < 3 < found.high
    assert (found.high - found.low) / 2 == pytest.approx(reach, rel=0.1)


@pytest.mark.parametrize("x", [[1.0], [2.0, 2.0], []])
def test_no_slope_without_two_places(x):
    x = np.array(x)
    assert math.isnan(stats.points_slope(x, x).value)
    assert math.isnan(stats.correlation(x, x).r)


def test_correlation_and_r_squared():
    # Deviations (-1, 0, 1) and (-1, 1, 0): 1 / sqrt(2 * 2) = 0.5.
    found = stats.correlation(np.array([1.0, 2, 3]), np.array([1.0, 3, 2]))
    assert (found.r, found.r_squared, found.n) == (pytest.approx(0.5), pytest.approx(0.25), 3)
    line = stats.correlation(np.arange(10.0), 5 - 2 * np.arange(10.0))
    assert (line.r, line.low, line.high, line.r_squared) == pytest.approx((-1, -1, -1, 1))


def test_no_interval_below_the_number_of_pictures_that_supports_it():
    draw = np.random.default_rng(0)
    for interval, smallest in (
        (stats.points_slope, stats.SMALLEST_FOR_POINTS_SLOPE),
        (stats.correlation, stats.SMALLEST_FOR_CORRELATION),
    ):
        # Many points do not make up for few pictures.
        pictures = np.repeat(np.arange(smallest), 20)
        x = draw.uniform(0, 10, pictures.size)
        y = x + draw.normal(size=pictures.size)
        assert math.isfinite(interval(x, y, pictures).low)
        few = pictures < smallest - 1
        assert math.isnan(interval(x[few], y[few], pictures[few]).low)
        assert math.isnan(interval(x[few], y[few], pictures[few]).high)


def test_a_line_that_one_picture_alone_decides_has_no_interval():
    x = np.array([1.0, 1, 1, 1, 1, 1, 1, 2])
    y = np.array([1.0, 1.1, 0.9, 1, 1.2, 1, 0.8, 3])
    slope, found = stats.points_slope(x, y), stats.correlation(x, y)
    assert slope.value == pytest.approx(2)
    assert math.isnan(slope.low)
    assert math.isnan(slope.high)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    # The same decided by two.
    assert math.isfinite(stats.points_slope(np.append(x, 2), np.append(y, 3.1)).low)


def test_a_latency_that_never_changes_has_a_slope_and_no_correlation():
    x = np.arange(8.0)
    found = stats.points_slope(x, np.full(8, 5.0))
    assert (found.value, found.low, found.high) == (0, 0, 0)
    assert math.isnan(stats.correlation(x, np.full(8, 5.0)).r)
    assert math.isnan(stats.correlation(x, np.full(8, 5.0)).low)
