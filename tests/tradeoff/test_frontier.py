"""The frontier by hand, and how sure it is by simulation."""

import numpy as np
import pytest

from profcore.errors import UserError
from profcore.tradeoff.dominance import not_dominated
from profcore.tradeoff.draws import interval, mean_draws, percentile_draws
from profcore.tradeoff.frontier import find_frontier, fixed, frontier_sentences
from profcore.tradeoff.tables import display_frontier

from .made import around, made_points


def test_a_point_is_dominated_by_one_that_is_nowhere_worse_and_somewhere_better():
    cost = [1, 2, 3, 3, 4, 2, np.nan]
    quality = [0.5, 0.7, 0.7, 0.9, 0.8, 0.7, 1.0]
    # The third costs more for the same, the fifth is worse and costs more; the second and sixth are alike.
    assert not_dominated(cost, quality).tolist() == [True, True, False, True, False, True, False]


def test_of_equal_cost_only_the_best_stands():
    assert not_dominated([1, 1, 1], [0.2, 0.5, 0.5]).tolist() == [False, True, True]
    assert not_dominated([], []).tolist() == []


def test_many_draws_are_judged_each_by_itself():
    cost = np.random.default_rng(0).integers(0, 5, (50, 8)).astype(float)
    quality = np.random.default_rng(1).integers(0, 5, (50, 8)).astype(float)
    found = not_dominated(cost, quality)
    for draw in range(50):
        for point in range(8):
            beaten = (cost[draw] <= cost[draw, point]) & (quality[draw] >= quality[draw, point])
            beaten &= (cost[draw] < cost[draw, point]) | (quality[draw] > quality[draw, point])
            assert found[draw, point] == (not beaten.any())


def test_a_frontier_by_accuracy_has_intervals_and_shares():
    scores = [[1, 0] * 20, [1, 1, 1, 0] * 10, [1] * 40, [1, 0] * 20]
    rows = [{"accuracy": np.mean(each), "scores": each, "top_k": k} for k, each in enumerate(scores, start=1)]
    points = made_points(rows, [around(10), around(20), around(30), around(40)])
    found = find_frontier(points)
    assert found.quality == "accuracy"
    assert found.table["on_frontier"].tolist() == [True, True, True, False]
    assert found.table["share"].tolist()[0] == 1.0
    assert found.table["share"].tolist()[3] == 0.0
    first = found.table.iloc[0]
    assert first["latency_low"] < 10 < first["latency_high"]
    assert first["quality_low"] < 0.5 < first["quality_high"]
    # Forty right of forty do not say that none would be wrong: 0.025 ** (1 / 40).
    assert found.table["quality_low"][2] == pytest.approx(0.9119, abs=1e-4)
    assert found.table["quality_high"][2] == 1.0


def test_points_that_cannot_be_told_apart_share_the_draws():
    spread = np.random.default_rng(0).normal(10, 1, (2, 30))
    points = made_points([{"accuracy": 0.5}, {"accuracy": 0.5}], list(spread))
    found = find_frontier(points)
    assert found.table["on_frontier"].sum() == 1
    assert found.table["share"].between(0.05, 0.95).all()
    assert any("cannot be told" in sentence for sentence in frontier_sentences(found))


def test_a_p95_of_few_samples_has_no_upper_end():
    found = find_frontier(made_points([{}], [around(10, 20)]), percentile=95)
    assert np.isnan(found.table["latency_high"][0])
    assert found.table["latency_low"][0] < found.table["latency"][0]
    many = find_frontier(made_points([{}], [around(10, 200)]), percentile=95)
    assert many.table["latency_high"][0] > many.table["latency"][0]


def test_what_hangs_on_a_tail_that_no_sample_bounds_has_no_share():
    rows = [{"top_k": 8, "accuracy": 0.9}, {"top_k": 4, "accuracy": 0.8}, {"top_k": 2, "accuracy": 0.95}]
    # The second has many samples and loses to the first in every draw but those beyond the first's samples.
    samples = [around(10, 20), around(20, 200), around(5, 200)]
    found = find_frontier(made_points(rows, samples), percentile=95)
    assert np.isnan(found.table["share"][0])
    assert found.table["share"].tolist()[1:] == [0.0, 1.0]
    few = find_frontier(made_points(rows[:2], samples[:2]), percentile=95)
    assert few.table["share"].isna().all()
    said = " ".join(frontier_sentences(few))
    assert "P95 of 20 samples has no upper end (it takes 72)" in said
    assert "of the draws" not in said
    assert display_frontier(few)["in draws"].tolist() == ["—"]
    enough = find_frontier(made_points(rows[:1], [around(10, 72)]), percentile=95)
    assert enough.table["share"].tolist() == [1.0]
    assert enough.table["latency_high"][0] > enough.table["latency"][0]
    assert "1 of them is in at least 95% of the draws" in " ".join(frontier_sentences(enough))


def test_without_quality_latency_stands_against_work_kept():
    points = made_points(
        [{"top_k": 4}, {"top_k": 8}, {"top_k": 8, "active_blocks": 8}], [around(5), around(9), around(7)]
    )
    found = find_frontier(points)
    assert found.quality == "work_kept"
    assert found.table["quality"].tolist() == [0.5, 1.0, 0.5]
    assert found.table["on_frontier"].tolist() == [True, True, False]
    assert found.table[["quality_low", "quality_high"]].isna().all(axis=None)
    # What all of the work is does not change where a knob is held.
    held = find_frontier(fixed(points, "top_k", 4))
    assert "a share of 2 crops · top-8 · 16 blocks" in " ".join(frontier_sentences(held))
    assert "no quality" in " ".join(frontier_sentences(found))
    with pytest.raises(UserError, match="recorded no quality"):
        find_frontier(points, quality="accuracy")


def test_one_knob_can_be_held():
    points = made_points(
        [{"top_k": k, "active_blocks": b} for k in (1, 8) for b in (8, 16)], [around(ms) for ms in (1, 2, 3, 4)]
    )
    held = fixed(points, "top_k", 8)
    assert find_frontier(held).table["latency"].tolist() == pytest.approx([3, 4])
    with pytest.raises(UserError, match="never was 5: choose from 1, 8"):
        fixed(points, "top_k", 5)


def test_bad_questions_are_refused_in_a_sentence():
    points = made_points([{}], [around(1)])
    for words, asked in (
        ("out of range", {"percentile": 100}),
        ("no energy", {"metric": "total_j"}),
        ("There is no latency", {"metric": "wall"}),
    ):
        with pytest.raises(UserError, match=words):
            find_frontier(points, **asked)
    with pytest.raises(UserError, match="no sample yet"):
        made_points([{}], [np.array([])])


def test_percentile_draws_hold_the_truth_as_often_as_they_say():
    generator = np.random.default_rng(0)
    for share, n in ((50, 20), (50, 7), (95, 100)):
        truth = np.exp(np.array([0.0, 1.6448536])[int(share == 95)] * 0.3)
        samples = np.sort(np.exp(0.3 * generator.normal(size=(1000, n))), axis=1)
        low, high = interval(percentile_draws(list(samples), share, generator, draws=400))
        low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
        # 1,000 intervals of 95 %: within four standard errors.
        assert 0.92 < np.mean((low <= truth) & (truth <= high)) < 0.98


def test_questions_are_drawn_for_all_points_together():
    hard = np.repeat([0.0, 1.0], 50)
    draws = mean_draws(
        [hard, hard, None], np.array([0.5, 0.5, 0.8]), np.array([100, 100, 50]), np.random.default_rng(0)
    )
    assert (draws[:, 0] == draws[:, 1]).all()
    assert draws[:, 2].std() == pytest.approx(np.sqrt(0.8 * 0.2 / 50), rel=0.15)


def _share_and_truth(seed):
    """The shares of points that are drawn at random, and which of them truly are on the frontier."""
    generator = np.random.default_rng(seed)
    latency, accuracy = generator.uniform(10, 12, 12), generator.uniform(0.4, 0.8, 12)
    truth = not_dominated(latency, accuracy)
    scores = (generator.random((12, 80)) < accuracy[:, None]).astype(float)
    rows = [{"accuracy": float(each.mean()), "scores": each.tolist(), "top_k": k} for k, each in enumerate(scores, 1)]
    samples = latency[:, None] * np.exp(0.05 * generator.normal(size=(12, 20)))
    return find_frontier(made_points(rows, list(samples)), seed=seed).table["share"].to_numpy(), truth


def test_a_share_near_one_or_none_is_right_nearly_always():
    found = [_share_and_truth(seed) for seed in range(25)]
    share, truth = (np.concatenate(each) for each in zip(*found, strict=True))
    assert truth[share >= 0.95].mean() > 0.9
    assert truth[share <= 0.05].mean() < 0.1
    # Between, a share is about the probability.
    between = (share > 0.2) & (share < 0.8)
    assert abs(truth[between].mean() - share[between].mean()) < 0.12
