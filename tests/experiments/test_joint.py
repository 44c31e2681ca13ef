"""Joint sweeps: which combinations a strategy takes, how numbers of blocks become masks, and what is refused."""

from __future__ import annotations

from collections import Counter

import pytest

from profcore.errors import UserError
from profcore.experiments.joint import (
    JointValues,
    chosen_masks,
    combinations,
    joint_sweep,
    joint_values,
    parse_grid,
    tiers_of,
)
from profcore.models.config import PRESETS
from profcore.spec.settings import first_blocks

CONFIG = PRESETS["tiny"]


def published(grids=(2, 4, 6, 8, 10, 12), top_ks=range(4, 33, 4), blocks=range(8, 17, 2), tokens=(10,)):
    """The published grid of max_crops × top_k × active blocks."""
    return JointValues(
        tuple((1, columns) for columns in grids),
        tuple(top_ks),
        tuple(first_blocks(number, 16) for number in blocks),
        tuple(tokens),
    )


@pytest.mark.parametrize(
    ("strategy", "crops", "top_ks", "blocks"),
    [
        ("balanced", (2, 6, 12), (4, 12, 20, 32), (8, 12, 16)),
        ("boundary", (2, 6, 12), (4, 8, 16, 24, 32), (8, 12, 16)),
        ("stratified", (2, 6, 12), (4, 16, 32), (8, 12, 16)),
        ("full", (2, 4, 6, 8, 10, 12), tuple(range(4, 33, 4)), (8, 10, 12, 14, 16)),
    ],
)
def test_the_strategies_take_the_published_values(strategy, crops, top_ks, blocks):
    chosen = combinations(published(), strategy)
    assert len(chosen) == len(set(chosen)) == len(crops) * len(top_ks) * len(blocks)
    assert sorted({each.crops[1] for each in chosen}) == list(crops)
    assert sorted({each.top_k for each in chosen}) == list(top_ks)
    assert sorted({sum(each.mask) for each in chosen}) == list(blocks)


def test_a_latin_hypercube_draws_different_settings_and_each_value_equally_often():
    values = published()
    chosen = combinations(values, "lhs", 48, seed=3)
    assert len(chosen) == len(set(chosen)) == 48
    assert chosen == combinations(values, "lhs", 48, seed=3) != combinations(values, "lhs", 48, seed=4)
    often = Counter(each.top_k for each in chosen)
    assert set(often) == set(values.top_ks)
    assert max(often.values()) - min(often.values()) <= 3
    assert len(combinations(values, "lhs")) == 60
    few = published(grids=(2, 4), top_ks=(4, 8), blocks=(8, 16))
    assert combinations(few, "lhs", 8) == combinations(few, "full") == combinations(few, "lhs")


def test_values_are_measured_in_ascending_order_and_others_stand_where_the_models_own_do():
    sweep = joint_sweep(joint_values(CONFIG, grids=[(1, 6), (1, 1), (2, 2)], top_ks=(4, 1)))
    assert [setting.grid for setting in sweep.settings[::2]] == [(1, 1), (2, 2), (1, 6)]
    assert [setting.top_k for setting in sweep.settings[:2]] == [1, 4]
    assert {(setting.active_blocks, setting.output_tokens) for setting in sweep.settings} == {(CONFIG.n_layers, 10)}


def test_masks_by_first_by_importance_and_at_random():
    assert chosen_masks([2], "first", 4) == ((True, True, False, False),)
    scores = {0: 0.1, 1: 0.4, 2: 0.3, 3: 0.2}
    assert chosen_masks([2], "importance", 4, scores=scores) == ((False, True, True, False),)
    drawn = chosen_masks([8, 12, "10" * 8], "random", 16, seed=1)
    assert [sum(mask) for mask in drawn] == [8, 12, 8]
    assert drawn[:1] == chosen_masks([8], "random", 16, seed=1) != chosen_masks([8], "random", 16, seed=2)
    assert drawn[2] == (True, False) * 8


def test_grids_are_written_in_either_way():
    assert [parse_grid(text) for text in ("6", "1x6", "2×3", "2X3")] == [(1, 6), (1, 6), (2, 3), (2, 3)]
    for text in ("", "x", "1x2x3", "-1", "a", "1.5", "٣", "99999"):
        with pytest.raises(UserError, match="is no image grid"):
            parse_grid(text)
    for text in ("13", "4x4", "0x1"):
        with pytest.raises(UserError, match="out of range"):
            parse_grid(text)


def test_the_tiers_end_with_what_the_model_takes():
    found = [(tier.name, tier.least, tier.most) for tier in tiers_of(("high", "low", "medium"), 12)]
    assert found == [("low", 1, 3), ("medium", 4, 8), ("high", 9, 12)]
    assert tiers_of(("medium",), 6)[0].most == 6
    with pytest.raises(UserError, match="begins at 9 crops, but the model takes at most 8"):
        tiers_of(("high",), 8)
    with pytest.raises(UserError, match="no tier 'huge'"):
        tiers_of(("huge",), 12)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: joint_values(CONFIG, top_ks=(1, 2)), "two knobs or more, but top-k alone varies"),
        (lambda: joint_values(CONFIG), "two knobs or more, but none varies"),
        (lambda: joint_values(CONFIG, top_ks=(1, 1), output_tokens=(1, 2)), "Top-k: each value can be measured once"),
        (lambda: combinations(published(), "sobol"), "no strategy 'sobol': choose from full"),
        (lambda: combinations(published(), "balanced", 10), "balanced says itself how many"),
        (lambda: combinations(published(), "lhs", 241), "241 different settings cannot be drawn of 240"),
        (lambda: combinations(published(), "lhs", 1), "ask for 2 to 240"),
        (lambda: combinations(published(tokens=range(1, 1000))), "239,760 settings are too many"),
        (lambda: chosen_masks([1], "best", 4), "no masks 'best'"),
        (lambda: chosen_masks([1], "importance", 4), "need scores"),
        (lambda: chosen_masks([5], "random", 4), "5 active blocks is out of range"),
        (
            lambda: joint_sweep(joint_values(CONFIG, top_ks=(1, 2), tiers=("low", "high"))),
            "Tiers of crops need real pictures",
        ),
    ],
)
def test_what_is_no_joint_sweep_is_refused_in_a_sentence(make, said):
    with pytest.raises(UserError, match=said) as refused:
        make()
    assert str(refused.value).count(". ") <= 1
