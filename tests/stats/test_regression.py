"""Is one run slower than another: verdicts worked out by hand, and how often they are wrong by chance."""

import math

import numpy as np
import pytest

from profcore.stats import median_ranks
from profcore.stats.between import Spread, with_spread
from profcore.stats.estimates import Ratio
from profcore.stats.log_ratios import log_ratio
from profcore.stats.regression import (
    PASSED,
    SLOWER,
    UNDECIDED,
    Question,
    answer_all,
    fewest,
    together,
    verdict_of,
)

MARGIN = 0.02


def ask(*pairs, margin=MARGIN, **more):
    questions = [Question([pair], **more) for pair in pairs]
    answers = answer_all(questions, margin)
    return verdict_of(questions, answers), answers


def around(middle, n=25):
    """Samples evenly in steps of 0.1 % about a middle, in an order that has no trend."""
    order = np.random.default_rng(0).permutation(n)
    return middle * np.exp(0.001 * (order - n // 2))


def test_verdicts_by_hand():
    """Of 25 samples the median's 95 % interval reaches from the 8th to the 18th: 5 steps of 0.1 % to either side."""
    assert median_ranks(25) == (7, 17)
    reach = 0.005 * math.sqrt(2)
    verdict, (answer,) = ask((around(10.0), around(10.1)))
    assert (verdict, answer.verdict) == (PASSED, PASSED)
    assert answer.ratio == pytest.approx(1.01)
    assert (answer.low, answer.high) == pytest.approx((1.01 * math.exp(-reach), 1.01 * math.exp(reach)), rel=1e-9)
    # 1.0296 to 1.0443 lies beyond the margin; 1.0029 to 1.0172 within; 1.0178 to 1.0323 on both sides.
    assert ask((around(10.0), around(10.37)))[0] == SLOWER
    assert ask((around(10.0), around(9.0)))[0] == PASSED
    assert ask((around(10.0), around(10.25)))[0] == UNDECIDED


def test_more_latencies_make_an_alarm_harder_and_a_pass_no_easier():
    # Its 95 % interval begins at 1.0215; of forty asked at once it begins lower.
    slow, same = (around(10.0), around(10.2875)), (around(10.0), around(10.0))
    assert ask(slow)[0] == SLOWER
    verdict, answers = ask(slow, *[same] * 39)
    assert verdict == UNDECIDED
    assert answers[0].sure_low < 1.02 < answers[0].low
    assert {each.verdict for each in answers[1:]} == {PASSED}
    # One that cannot be told keeps all from passing; one that is only pooled does not.
    open_ = (around(10.0), around(10.2))
    assert ask(same, open_)[0] == UNDECIDED
    questions = [Question([same]), Question([open_], decides=False)]
    assert verdict_of(questions, answer_all(questions, MARGIN)) == PASSED


def test_what_was_found_slower_counts_no_more_for_the_others():
    """Holm's steps: two latencies asked with 38 that are plainly slower are judged as two."""
    slow, edge = (around(10.0), around(20.0)), (around(10.0), around(10.2875))
    _, answers = ask(edge, *[slow] * 39)
    assert answers[0].verdict == SLOWER


@pytest.mark.parametrize(("confidence", "number"), [(0.95, 6), (0.99, 8), (together(30), 11), (together(1200), 16)])
def test_a_confidence_needs_samples(confidence, number):
    assert fewest(confidence) == number
    assert median_ranks(number, confidence) == (0, number - 1)
    assert median_ranks(number - 1, confidence) is None


def test_too_few_samples_are_undecided_and_say_how_many_are_needed():
    few = np.full(4, 10.0)
    verdict, (answer,) = ask((few, 2 * few))
    assert verdict == UNDECIDED
    assert (answer.needed, answer.both, math.isnan(answer.low)) == (6, 6, True)
    nothing = answer_all([Question([(np.zeros(5), np.zeros(5))])], MARGIN)
    assert math.isnan(nothing[0].ratio)
    assert nothing[0].verdict == UNDECIDED


def test_as_many_samples_as_are_said_decide_it():
    random = np.random.default_rng(3)

    def draw(middle, n):
        return middle * np.exp(random.normal(0, 0.02, n))

    before = draw(10.0, 4000)
    decided = []
    for _ in range(40):
        after = draw(10.1, 30)
        verdict, (answer,) = ask((before, after))
        if verdict == UNDECIDED and answer.ratio < 1.015:
            assert answer.needed and answer.needed > 30
            # As the estimate is: samples of the same median and spread.
            scaled = after * answer.ratio / np.median(after) * 10.0
            more = np.quantile(scaled, (np.arange(2 * answer.needed) + 0.5) / (2 * answer.needed))
            decided.append(ask((before, random.permutation(more)))[0])
    assert len(decided) > 5
    assert decided.count(PASSED) >= 0.9 * len(decided)


def test_where_processes_differ_by_more_than_the_margin_no_number_of_samples_decides():
    spread = Spread(0.02, 0.01, 0.05, 0.001, 0.01, 4, 3)
    verdict, (answer,) = ask((around(10.0), around(10.0)), spreads=(spread, spread))
    assert (verdict, answer.needed, answer.both) == (UNDECIDED, None, None)
    found = log_ratio([(around(10.0), around(10.0))])
    alone = Ratio(1.0, math.exp(found.low), math.exp(found.high), 1)
    both = with_spread(alone, spread, spread)
    assert (answer.low, answer.high) == pytest.approx((both.low, both.high), rel=1e-6)


@pytest.mark.parametrize("draw", ["normal", pytest.param("skewed", marks=pytest.mark.long)])
def test_a_run_is_rarely_called_slower_or_passed_by_chance(draw):
    """Simulated at the margin itself, where chance errs most: 20 latencies at once, 40 samples each."""
    random, rounds, asked = np.random.default_rng(11), 300, 20

    def samples(middle):
        noise = random.normal(0, 0.01, 40) if draw == "normal" else random.exponential(0.01, 40)
        return middle * np.exp(noise)

    alarms = passes = same = 0
    for _ in range(rounds):
        edge = [(samples(10.0), samples(10.2)) for _ in range(asked)]
        alarms += ask(*edge)[0] == SLOWER
        passes += ask(edge[0])[0] == PASSED
        same += ask(*[(samples(10.0), samples(10.0)) for _ in range(4)])[0] == SLOWER
    # At most 2.5 % each; 15 of 300 is four standard errors beyond that.
    assert alarms <= 15
    assert passes <= 15
    assert same == 0


def test_what_is_slower_is_found():
    random = np.random.default_rng(5)
    found = 0
    for _ in range(50):
        pairs = [tuple(middle * np.exp(random.normal(0, 0.01, 50)) for middle in (10.0, 10.0)) for _ in range(19)]
        pairs.append((10.0 * np.exp(random.normal(0, 0.01, 50)), 10.6 * np.exp(random.normal(0, 0.01, 50))))
        verdict, answers = ask(*pairs)
        found += verdict == SLOWER and answers[-1].verdict == SLOWER
    assert found >= 48
