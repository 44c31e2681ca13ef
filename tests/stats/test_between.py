"""How far processes differ: components of variance, their intervals, and what a claim needs."""

import math
from dataclasses import astuple

import numpy as np
import pytest
from scipy.special import chdtri

from profcore import stats
from profcore.comparisons.runs import verdict
from profcore.stats.between import Spread, needed, pooled_spread, spread, together, with_spread
from profcore.stats.student import critical

REPETITIONS = [pytest.param(500, id="short"), pytest.param(6000, id="long", marks=pytest.mark.long)]


def processes(draw, number, samples, between, within, settings=1):
    """Samples of each setting and process; a process differs alike at every setting."""
    own = between * draw.normal(size=(1, number, 1))
    return np.exp(own + within * draw.normal(size=(settings, number, samples)))


@pytest.mark.parametrize("number", REPETITIONS)
@pytest.mark.parametrize(
    ("between", "within", "settings"), [(0.02, 0.01, 1), (0.005, 0.02, 1), (0.01, 0.01, 3)], ids=str
)
def test_its_interval_holds_what_processes_differ_by(number, between, within, settings):
    draw = np.random.default_rng(settings)
    found = [pooled_spread(processes(draw, 4, 15, between, within, settings)) for _ in range(number)]
    assert np.mean([each.low <= between <= each.high for each in found]) >= 0.93
    # What is found is right in the mean of squares, but for what the error within takes below 0.
    assert np.mean([each.between**2 for each in found]) == pytest.approx(between**2, rel=0.35)


@pytest.mark.parametrize("number", REPETITIONS)
def test_runs_of_two_processes_are_seldom_told_apart_by_what_processes_differ_by(number):
    draw = np.random.default_rng(3)

    def false(known):
        pairs = processes(draw, 2, 20, 0.02, 0.005)[0]
        ratio = stats.ratio_of_medians(*pairs)
        return verdict(with_spread(ratio, known, known) if known else ratio, 0) in ("faster", "slower")

    known = [spread(processes(draw, 4, 10, 0.02, 0.005)[0]) for _ in range(number)]
    # At most 5 %, as far as so many draws tell: by two standard errors.
    assert np.mean([false(each) for each in known]) <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / number)
    # Without it most of them are.
    assert np.mean([false(None) for _ in range(200)]) > 0.5


def test_components_by_hand():
    # Medians of 1 and e² differ by 2 in the logarithm: a variance of 2. All lie alike around them.
    around = np.array([-1.0, -1, -1, 1, 1, 1])
    found = spread([np.exp(0.01 * around), np.exp(2 + 0.01 * around)])
    # The ends of 6 samples miss the median in 1 of 64 to either side: 2.1539 standard errors of a normal one.
    error = 0.02 / (2 * 2.1539)
    assert found.error == pytest.approx(error, rel=1e-4)
    assert found.between == pytest.approx(math.sqrt(2 - found.error**2))
    assert found.within == pytest.approx(found.error * math.sqrt(6))
    assert found.low < found.between < found.high
    assert (found.processes, found.freedom) == (2, 1)


def test_where_nothing_differs_but_by_chance_it_is_none():
    values = np.exp(0.01 * np.random.default_rng(0).normal(size=12))
    found = spread([values, values[::-1], values])
    assert (found.between, found.low) == (0, 0)
    # That they agree better than chance has them do is no proof that others will.
    assert found.high == pytest.approx(found.error * math.sqrt(2 / chdtri(2, 0.975) - 1))
    assert found.high > found.error
    assert spread([values]) is None
    assert spread([values, values[:5]]) is None
    assert spread([values, np.zeros(12)]) is None


def test_series_count_by_their_processes():
    draw = np.random.default_rng(1)
    first, second = (spread(processes(draw, number, 10, 0.02, 0.005)[0]) for number in (3, 5))
    both = together([first, second])
    assert (both.processes, both.freedom) == (8, 6)
    assert min(first.between, second.between) <= both.between <= max(first.between, second.between)
    assert astuple(together([first])) == pytest.approx(astuple(first))
    assert together([]) is None


def test_what_a_claim_needs_is_the_least_that_holds_it():
    found = Spread(0.004, 0, 1, 0.01, 0.05, 4, 3)
    number, samples = needed(found)

    def reach(number, samples):
        return critical(number - 1) * math.sqrt((found.between**2 + found.within**2 / samples) / number)

    assert reach(number, samples) <= math.log(1.01) < reach(number, samples - 1)
    others = [(k, n) for k in range(2, 60) for n in range(6, 200) if reach(k, n) <= math.log(1.01)]
    assert number * samples == min(k * n for k, n in others)
    # What hardly varies needs the fewest of both.
    assert needed(Spread(0.0, 0, 0, 0, 0, 2, 1)) == (2, 6)
    assert needed(Spread(10.0, 0, 0, 0, 0, 2, 1)) is None


def test_a_wider_ratio_keeps_its_value_and_what_has_no_interval_gets_none():
    known = Spread(0.01, 0, 1, 0, 0, 4, 3)
    ratio = with_spread(stats.Ratio(1.1, 1.1, 1.1, 1), known, known)
    reach = critical(3) * 0.01 * math.sqrt(2)
    assert (ratio.low, ratio.high) == pytest.approx((1.1 * math.exp(-reach), 1.1 * math.exp(reach)))
    assert math.isnan(with_spread(stats.Ratio(1.1, math.nan, math.nan, 1), known, known).low)
