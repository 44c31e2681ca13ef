"""Joint runs as pages show them: a point for each combination, with latency and quality."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from profcore.experiments.joint import joint_sweep, joint_values
from profcore.models.config import PRESETS
from profcore.results.joint import load_joint
from profcore.results.joint_cells import JointKnob, combinations_of, fullest
from profcore.results.joint_tables import display_joint
from profcore.spec.queries import Picture, Query, QuerySet
from profcore.spec.stages import State
from profcore.storage.frames import SpoolReader
from profcore.storage.spool import spool_path
from profcore.storage.store import Store
from tests.comparisons.stored import store_run
from tests.results.stored_joint import QUESTIONS, made_up_cost, made_up_scores, made_up_sweep, store_joint


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "joint.duckdb") as opened:
        yield opened


def test_a_point_is_a_setting_with_its_knobs_medians_and_scores(store):
    sweep = made_up_sweep()
    result = load_joint(store, store_joint(store, sweep, joules=lambda setting: 2.0 * setting.top_k), steps=True)
    points = result.points
    assert len(points) == len(sweep.settings) == 3 * 3 * 2
    for (_, point), setting in zip(points.iterrows(), sweep.settings, strict=True):
        assert (point["grid"], point["top_k"], point["active_blocks"]) == (
            setting.grid_label,
            setting.top_k,
            setting.active_blocks,
        )
        assert point["scores"] == made_up_scores(setting)
        assert point["accuracy"] == pytest.approx(sum(made_up_scores(setting)) / QUESTIONS)
        assert point["total_j"] == 2.0 * setting.top_k + 10
        assert point["num_crops"] == setting.grid[0] * setting.grid[1] + 1
        assert point["samples"] == 6
    assert points.loc[0, "label"] == "1×1 · top-1 · 8 blocks · 3 tokens"
    medians = result.summary.pivot_table(index="point", columns="metric", values="median")
    for place, setting in enumerate(sweep.settings):
        assert medians.loc[place, "llm_prefill_ms"] == pytest.approx(made_up_cost(setting)[2])
        assert medians.loc[place, "tpot_ms"] == pytest.approx(made_up_cost(setting)[3])
    assert [len(steps) for steps in result.samples["decode_steps_ms"]] == [2] * len(result.samples)


def test_the_spool_alone_says_the_same(store):
    run_id = store_joint(store)
    mine, spooled = load_joint(store, run_id), load_joint(SpoolReader(spool_path(store.spools, run_id)), run_id)
    columns = ["label", "accuracy", "kl", "samples", "num_vision_tokens"]
    assert spooled.points[columns].values.tolist() == mine.points[columns].values.tolist()
    assert spooled.points["scores"].tolist() == mine.points["scores"].tolist()


def test_a_run_that_was_stopped_has_every_point_and_the_samples_that_there_are(store):
    result = load_joint(store, store_joint(store, quality=None, state=State.STOPPED, only=4))
    assert result.points["samples"].tolist() == [1] * 4 + [0] * 14
    assert result.points["accuracy"].isna().all()
    assert "accuracy" not in display_joint(result)
    assert len(display_joint(result)) == 18


def pictures(*sizes):
    return QuerySet(
        "made up",
        tuple(
            Query(Picture("file", f"/{place}.jpg"), "What is it?", f"i{place}", f"q{place}", *size, answers=("a",))
            for place, size in enumerate(sizes)
        ),
    )


def test_the_pictures_of_a_tier_are_one_point(store):
    config = PRESETS["tiny"]
    values = joint_values(config, top_ks=(1, 2), tiers=("high", "low"))
    sweep = joint_sweep(values, queries=pictures((336, 336), (2000, 700), (700, 2000)), num_samples=2, warmup=0)
    assert [tier.name for tier in sweep.plan.tiers] == ["low", "high"]
    assert {setting.grid for setting in sweep.settings[:3]} == {(1, 1), (1, 3), (3, 1)}
    assert all(9 <= setting.grid[0] * setting.grid[1] <= 12 for setting in sweep.settings[-3:])
    again = type(sweep).from_dict(sweep.to_dict())
    assert again == sweep
    scores = {place: [float(place % 3 > 0)] for place in range(len(sweep.settings))}
    places = iter(range(len(sweep.settings)))
    run_id = store_run(store, sweep, made_up_cost, quality=lambda setting: scores[next(places)])
    result = load_joint(store, run_id)
    assert result.points["label"].tolist() == [
        f"{tier} · top-{top_k} · 16 blocks · 10 tokens" for tier in ("low", "high") for top_k in (1, 2)
    ]
    assert result.points["samples"].tolist() == [6] * 4
    assert result.points["scores"].tolist() == [[0.0, 1.0, 1.0]] * 4
    assert result.points["accuracy"].tolist() == pytest.approx([2 / 3] * 4)
    assert result.points["quality_queries"].tolist() == [3] * 4
    assert result.points[["least_crops", "most_crops"]].values.tolist()[0] == [1, 3]
    assert result.points["grid"].isna().all()


def test_a_plan_whose_tiers_are_not_of_its_settings_is_none():
    config = PRESETS["tiny"]
    plan = joint_sweep(joint_values(config, top_ks=(1, 2), tiers=("low", "high")), queries=pictures((336, 336))).plan
    with pytest.raises(ValueError, match="tier"):
        replace(plan, tier_of=(0,))
    with pytest.raises(ValueError, match="tier"):
        replace(plan, tier_of=(7,) * len(plan.of_setting))


def test_a_map_begins_where_most_settings_are():
    points = pd.DataFrame({"blocks": ["4", "8", "8", "16"], "tokens": ["1", "1", "1", "9"]})
    knobs = {name: JointKnob(name, points[name], sorted(set(points[name]), key=int)) for name in points}
    assert fullest(knobs) == {"blocks": "8", "tokens": "1"}
    # Of places as full as each other the one of the largest values; of no knobs none.
    assert fullest({"blocks": JointKnob("blocks", points["blocks"][[0, 1, 3]], ["4", "8", "16"])}) == {"blocks": "16"}
    assert fullest({}) == {}
    assert combinations_of(knobs) == 6
