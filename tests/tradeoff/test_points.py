"""The points of a stored joint run, and those of two runs that are the same."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from profcore.errors import UserError
from profcore.formats.imports import reading_path, write_imports
from profcore.models.shapes.shape import SHAPES_CONFIG, WHAT
from profcore.results.joint import load_joint
from profcore.spec.stages import State
from profcore.storage.store import Store
from profcore.tradeoff.answer_length import over_length
from profcore.tradeoff.budget import choose_setting
from profcore.tradeoff.frontier import find_frontier
from profcore.tradeoff.latency_model import fit_latency_model
from profcore.tradeoff.lookup import budgets_over, lookup_json, lookup_table
from profcore.tradeoff.points import RANDOM_QUALITY, load_joint_points, matched, quality_note
from tests.comparisons.stored import store_run
from tests.formats.joint_made import campaign, write
from tests.results.stored_joint import store_joint
from tests.support import small_sweep

from .made import around, made_points


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "joint.duckdb") as opened:
        yield opened


def test_a_stored_run_gives_the_points_that_its_page_shows(store):
    run_id = store_joint(store)
    points, result = load_joint_points(store, run_id), load_joint(store, run_id)
    shown = [
        "label",
        "grid",
        "num_crops",
        "num_input_tokens",
        "top_k",
        "active_blocks",
        "samples",
        "accuracy",
        "scores",
    ]
    assert points.table[shown].to_dict("list") == result.points[shown].to_dict("list")
    for metric in ("llm_prefill_ms", "ttft_ms", "total_ms", "tpot_ms"):
        medians = result.summary[result.summary["metric"] == metric].set_index("point")["median"]
        assert points.latencies.percentiles(metric, 50) == pytest.approx(medians.to_numpy())
    assert points.missing == ""
    assert points.varied == ["num_crops", "top_k", "active_blocks"]
    assert find_frontier(points).quality == "accuracy"


def test_a_run_that_was_stopped_says_what_is_missing(store):
    points = load_joint_points(store, store_joint(store, quality=None, state=State.STOPPED, only=4))
    assert len(points.table) == 4
    assert "samples of 4 of 18 settings" in points.missing
    assert points.qualities == ["work_kept"]


def test_a_published_campaign_is_weighed_like_a_run_of_ours(store, tmp_path):
    files = campaign(tiers=("low", "medium", "high"))
    with reading_path(write(tmp_path / "campaign", files), store.spools) as found:
        write_imports(found, store.spools)
    store.take_in_all()
    run_id = store.runs("joint")["id"].iloc[0]
    points = load_joint_points(store, run_id)
    assert points.varied == ["tier", "top_k", "active_blocks"]
    assert find_frontier(points, "ttft_ms").quality == "accuracy"
    best = choose_setting(points, {"total_ms": 1000.0}).best
    assert best["tier"] in ("low", "medium", "high")
    entry = json.loads(lookup_json(lookup_table(points, budgets_over(points))))[0]
    assert (entry["tier"], entry["top_k"], entry["num_active_blocks"]) == ("low", 4, 8)
    assert fit_latency_model(points).settings == len(files)
    rows = over_length(store.answers(run_id))
    assert set(rows["tokens"]) == {2, 3}


def test_another_experiment_is_no_joint_run(store):
    run_id = store_run(store, small_sweep(), lambda setting: 1.0)
    with pytest.raises(UserError, match="is no joint run"):
        load_joint_points(store, run_id)
    with pytest.raises(UserError, match="is no joint run"):
        load_joint_points(store, "gone")


def test_missing_samples_are_left_out_of_a_point():
    points = made_points([{}, {}], [np.array([3.0, np.nan, 1.0]), around(2)])
    assert points.latencies.of("total_ms")[0].tolist() == [1, 3]
    # What files of others have in place of the stages.
    first = made_points([{}], [{"vision_encoder_ms": [np.nan], "llm_prefill_ms": [np.nan], "first_token_ms": [7.0]}])
    assert first.latencies.percentiles("ttft_ms", 50).tolist() == [7]
    vision = made_points([{}], [{"vision_encoder_ms": [np.nan], "vision_total_ms": [4.0], "llm_prefill_ms": [2.0]}])
    assert vision.latencies.percentiles("ttft_ms", 50).tolist() == [6]


def test_points_of_two_runs_are_matched_by_their_knobs():
    first = made_points(
        [{"top_k": 1}, {"top_k": 2}, {"top_k": 4, "grid": "1×6"}, {"top_k": 4, "grid": "2×3"}], [around(1)] * 4
    )
    second = made_points(
        [{"top_k": 4}, {"top_k": 2, "block_mask": "1" * 16}, {"top_k": 1, "output_tokens": 9}], [around(1)] * 3
    )
    # Two grids of as many crops could each be the other's one.
    assert list(matched(first, second)) == [(1, 1)]


def test_a_quality_of_random_weights_means_nothing_and_that_of_the_small_model_is_named():
    points = made_points([{}], [around(10)])
    assert quality_note(points, "accuracy") == RANDOM_QUALITY
    # Work is counted, whatever the weights.
    assert quality_note(points, "work_kept") == ""
    small = made_points([{}], [around(10)], weights="real", shape=asdict(SHAPES_CONFIG))
    assert quality_note(small, "kl") == quality_note(small, "work_kept") == WHAT
    assert quality_note(made_points([{}], [around(10)], weights="real"), "kl") == ""
