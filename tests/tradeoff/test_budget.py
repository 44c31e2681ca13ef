"""The setting for a budget, by hand: which, how sure, what lies around it, and the table to look it up in."""

import json

import numpy as np
import pytest

from profcore.errors import UserError
from profcore.tradeoff.budget import at_length, choice_dict, choice_sentences, choose_setting
from profcore.tradeoff.latency_model import fit_latency_model
from profcore.tradeoff.lookup import budgets_over, lookup_json, lookup_table
from profcore.tradeoff.overlap import frontier_overlap, jaccard

from .made import around, made_points
from .test_latency_model import grid, measured

QUALITY = (0.5, 0.7, 0.8, 0.75)


def four(latencies=(10, 20, 30, 40), quality=QUALITY, **machine):
    rows = [{"top_k": 2**k, "accuracy": q, "quality_queries": 100} for k, q in enumerate(quality)]
    return made_points(rows, [around(ms, 21, 0.1) for ms in latencies], **machine)


def test_the_best_setting_within_a_budget():
    choice = choose_setting(four(), {"total_ms": 25.0})
    assert choice.best["label"] == "setting 1"
    assert (choice.allowed, choice.settings) == (2, 4)
    assert choice.cheaper["label"] == "setting 0"
    assert choice.dearer["label"] == "setting 2"
    assert choice.more_ms == pytest.approx(5)
    said = " ".join(choice_sentences(choice))
    assert "Within 25 ms of Total at P50: setting 1, with 70.0% accuracy (Total 20.0 ms)." in said
    assert "The next millisecond buys nothing: what is better takes 5.00 ms more" in said
    assert choice_dict(choice)["quality"] == {"kind": "accuracy", "value": 0.7}
    assert choice_dict(choice)["established"] is choice.established


def test_a_faster_setting_that_the_questions_cannot_tell_from_the_best_is_named():
    wrong = {0: 60, 1: 11, 2: 10}
    rows = [
        {"top_k": 2**k, "accuracy": 1 - n / 100, "scores": [float(place >= n) for place in range(100)]}
        for k, n in wrong.items()
    ]
    points = made_points(rows, [around(ms, 21, 0.1) for ms in (10, 20, 30)])
    choice = choose_setting(points, {"total_ms": 100.0})
    # One question more is within what another hundred would change, fifty are not.
    assert (choice.best["label"], choice.alike["label"], choice.num_alike) == ("setting 2", "setting 1", 1)
    said = " ".join(choice_sentences(choice))
    assert "cannot tell its accuracy from that of a faster one: it is setting 1 with 89.0% accuracy (20.0 ms)." in said
    assert choice_dict(choice)["fastest_alike"]["settings_alike"] == 1
    # With a budget that it alone meets nothing else is as good.
    assert choose_setting(points, {"total_ms": 15.0}).alike is None
    assert choice_dict(choose_setting(points, {"total_ms": 15.0}))["fastest_alike"] is None


def test_a_percentile_must_be_met_too():
    # P95 of 20 ± 10 % is 21.8 ms.
    assert choose_setting(four(), {"ttft_ms": 21.0}).best["label"] == "setting 1"
    choice = choose_setting(four(), {"ttft_ms": 21.0}, 95)
    assert choice.best["label"] == "setting 0"
    assert choice.more_ms == pytest.approx(0.8)
    assert "The next millisecond buys setting 1" in " ".join(choice_sentences(choice))


def test_how_often_it_is_exceeded_comes_from_the_samples():
    best = choose_setting(four(), {"total_ms": 21.0}).best
    # Samples reach from 18 to 22 in steps of 0.2: five of 21 lie above 21.
    assert best["exceeds"] == pytest.approx(5 / 21)
    # Clopper & Pearson, 5 of 21.
    assert (best["exceeds_low"], best["exceeds_high"]) == (
        pytest.approx(0.0822, abs=1e-3),
        pytest.approx(0.4717, abs=1e-3),
    )
    assert choose_setting(four(), {"total_ms": 100.0}).best["exceeds"] == 0


def test_few_samples_within_a_budget_do_not_establish_a_percentile():
    choice = choose_setting(four(), {"total_ms": 25.0}, 95)
    assert choice.best["exceeds"] == 0
    # None of 21 may still be one in six: 1 - 0.025 ** (1 / 21) is 16 %.
    assert not choice.established
    assert "which these samples do not establish: more than 5% of its inferences may" in choice_sentences(choice)[0]
    many = made_points([{"top_k": 8}], [around(20, 100)])
    assert choose_setting(many, {"total_ms": 25.0}, 95).established


def test_every_limit_must_be_met():
    choice = choose_setting(four(), {"total_ms": 100.0, "ttft_ms": 25.0})
    assert choice.best["label"] == "setting 1"
    assert choice.more_ms == pytest.approx(5)


def test_where_all_are_met_more_buys_nothing():
    choice = choose_setting(four(), {"total_ms": 1000.0})
    assert choice.best["label"] == "setting 2"
    assert choice.dearer is None
    assert "More milliseconds buy nothing" in " ".join(choice_sentences(choice))


def test_what_has_no_such_latency_is_no_neighbour():
    # An answer of one token has no decode step.
    rows = [{"top_k": 8, "output_tokens": 1}, {"top_k": 4, "output_tokens": 5}]
    step = {"total_ms": around(30), "llm_prefill_ms": around(10), "llm_decode_ms": around(20)}
    points = made_points(rows, [{"total_ms": around(10), "llm_prefill_ms": around(10)}, step])
    choice = choose_setting(points, {"tpot_ms": 10.0})
    assert choice.best["label"] == "setting 1"
    assert choice.dearer is None
    assert choice_sentences(choice)[-1] == ("More milliseconds buy nothing: what is better (1 setting) has no TPOT.")


def test_what_no_setting_has_cannot_be_looked_up():
    points = made_points([{"output_tokens": 1}], [around(10)])
    with pytest.raises(UserError, match="No setting of this run has a TPOT: look up another latency"):
        budgets_over(points, "tpot_ms")


def test_a_budget_below_every_setting_says_the_least_possible():
    with pytest.raises(
        UserError, match=r"No setting meets 5 ms of Total at P50: the least possible is 10\.0 ms, with setting 0"
    ):
        choose_setting(four(), {"total_ms": 5.0})
    with pytest.raises(UserError, match=r"the nearest takes 10\.0 ms of Total and 10\.0 ms of TTFT"):
        choose_setting(four(), {"total_ms": 5.0, "ttft_ms": 50.0})
    for limits in ({}, {"total_ms": -1.0}, {"total_ms": float("nan")}, {"wall_ms": 1.0}):
        with pytest.raises(UserError):
            choose_setting(four(), limits)


def test_without_quality_the_most_work_is_kept_and_said_to_be_no_quality():
    points = made_points([{"top_k": 4}, {"top_k": 8}], [around(10), around(20)])
    choice = choose_setting(points, {"total_ms": 15.0})
    document = choice_dict(choice)
    assert document["quality"] is None
    assert document["ranked_by"] == "work_kept"
    assert document["setting"]["value"] == 0.5
    assert "No quality was weighed" in " ".join(choice_sentences(choice))
    json.dumps(document)


def test_a_predicted_setting_is_marked_as_not_measured():
    points = measured([row for row in grid(150) if row["top_k"] < 32 or row["active_blocks"] < 16])
    model = fit_latency_model(points)
    choice = choose_setting(points, {"total_ms": 1000.0}, model=model)
    assert choice.best["value"] == 1.0
    assert not choice.best["measured"]
    assert choice_dict(choice)["setting"]["exceeds"] is None
    assert choice_dict(choice)["setting"]["total_ms_predicted_within"] == model.reaches["total_ms"]
    assert choice_sentences(choice)[0].startswith("Predicted to be within 1000 ms of Total at P50: ")
    assert "It was not measured: its latency is predicted, its median to within 0." in " ".join(
        choice_sentences(choice)
    )
    assert choose_setting(points, {"total_ms": 1000.0}).best["measured"]


def test_a_total_is_compared_at_one_length_of_answer():
    points = made_points(
        [{"output_tokens": 2, "top_k": 8}, {"output_tokens": 20, "top_k": 4}], [around(10), around(20)]
    )
    assert at_length(points, {"total_ms": 50.0}).table["output_tokens"].tolist() == [20]
    assert at_length(points, {"total_ms": 50.0}, 2).table["output_tokens"].tolist() == [2]
    assert len(at_length(points, {"ttft_ms": 50.0}).table) == 2
    with pytest.raises(UserError, match="Output tokens never was 5"):
        at_length(points, {"total_ms": 50.0}, 5)


def test_the_lookup_table_has_the_form_of_the_source_system():
    points = four()
    assert budgets_over(points) == pytest.approx(np.linspace(10, 40, 8))
    table = lookup_table(points, [5, 19.5, 25, 40])
    # 20 ms answer a budget of 19.5, by the tolerance of 5 %; nothing answers 5.
    assert table["budget"].tolist() == [19.5, 25, 40]
    assert table["label"].tolist() == ["setting 1", "setting 1", "setting 2"]
    entries = json.loads(lookup_json(table))
    assert [entry["latency"] for entry in entries] == pytest.approx([20, 30])
    assert set(entries[0]) == {
        *("max_crops", "top_k", "num_active_blocks", "accuracy", "latency"),
        *("num_samples", "accuracy_std", "latency_std"),
    }
    tiers = made_points([{"tier": "low", "scores": [1.0, 0.0], "accuracy": 0.5}], [around(10)])
    entry = json.loads(lookup_json(lookup_table(tiers, [10])))[0]
    assert (entry["tier"], entry["accuracy_std"]) == ("low", 0.5)


def test_jaccard_by_hand():
    first, second = np.array([True, True, False, False]), np.array([True, False, True, False])
    assert jaccard(first, second) == pytest.approx(1 / 3)
    assert jaccard(~first & first, second & ~second) == 1


def test_two_frontiers_overlap_by_their_settings():
    # The second run lacks a setting, lists the others in another order, and finds another of them worth its time.
    first = four()
    other = made_points(
        [{"top_k": 8, "accuracy": 0.75}, {"top_k": 4, "accuracy": 0.6}, {"top_k": 1, "accuracy": 0.5}],
        [around(40), around(30), around(10)],
        run_id="other",
        device_name="another card",
    )
    found = frontier_overlap(first, other)
    assert found.compared == 3
    assert (found.both, found.first, found.second) == (["setting 0", "setting 2"], [], ["setting 3"])
    assert found.value == pytest.approx(2 / 3)
    assert found.low <= found.value <= found.high
    with pytest.raises(UserError, match="share 0 of their settings"):
        frontier_overlap(first, made_points([{"top_k": 64}], [around(1)]))


@pytest.mark.long
def test_overlaps_hold_the_truth_as_often_as_they_say():
    from profcore.tradeoff.dominance import not_dominated

    held = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        latency = generator.uniform(10, 14, (2, 10))
        quality = generator.uniform(0.3, 0.9, 10)
        truth = jaccard(not_dominated(latency[0], quality), not_dominated(latency[1], quality))
        runs = []
        for each in latency:
            scores = (generator.random((10, 100)) < quality[:, None]).astype(float)
            rows = [{"top_k": k, "accuracy": s.mean(), "scores": s.tolist()} for k, s in enumerate(scores, 1)]
            runs.append(made_points(rows, list(each[:, None] * np.exp(0.05 * generator.normal(size=(10, 20))))))
        found = frontier_overlap(*runs, seed=seed)
        held += found.low <= truth <= found.high
    assert held / 200 > 0.9
