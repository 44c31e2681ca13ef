"""Figures are written with the digits that they deserve."""

import math

import pytest

from profcore.stats.digits import MISSING, common_decimals, decimals, in_unit, written, written_interval

NAN = float("nan")
SHOWN = {
    0.0: "0",
    0.0001234: "0.000123",
    0.5749: "0.575",
    20.34: "20.3",
    217.3: "217",
    1234.7: "1,235",
    1e-12: "0.000000",
    -3.14159: "-3.14",
    math.inf: MISSING,
}


@pytest.mark.parametrize("value", SHOWN)
def test_three_digits_that_mean_something(value):
    assert written(value) == SHOWN[value]


def test_a_missing_figure_is_a_dash():
    assert written(NAN) == written(None) == written_interval(NAN, 1.0) == written_interval(1.0, NAN) == "—"


def test_an_interval_has_digits_enough_to_tell_its_ends_apart():
    assert decimals(0.5748, 0.57461, 0.57503) == 4
    assert written_interval(0.57461, 0.57503, 4) == "0.5746 to 0.5750"
    assert written_interval(6.971, 6.972) == "6.971 to 6.972"
    assert written_interval(7.0, 7.0) == "7.00 to 7.00"
    # Ends that differ nowhere a person reads are not chased for ever.
    assert decimals(1.0, 1.0, 1.0 + 1e-12) == 6


def test_a_column_lines_up():
    assert common_decimals([217.0, 0.575, NAN, 0.0]) == 3
    assert common_decimals([6.98, 7.02], [(6.97, 6.99), (7.011, 7.012)]) == 3
    assert common_decimals([NAN]) == common_decimals([]) == 0


def test_microseconds_where_milliseconds_round_away():
    assert in_unit(0.0001) == (1000.0, "µs")
    assert in_unit(-0.05) == (1000.0, "µs")
    assert in_unit(0.1) == in_unit(0.0) == in_unit(NAN) == (1.0, "ms")
