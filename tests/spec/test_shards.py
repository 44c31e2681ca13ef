"""A run split into shards: which settings each has, and what a spool from elsewhere may say of one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings
from profcore.models.config import PRESETS
from profcore.spec.runs import RunSpec, Shard, Sweep, Target
from profcore.spec.shards import anchor_settings, parse_shard, same_run, setting_costs, shard_spec, split, usual_anchors
from tests.support import small_sweep

CUDA = Target("molmoe-1b", "cuda:0", engine="compiled")


def sweep_of(*lengths: int) -> Sweep:
    """A sweep of output tokens."""
    experiment, config = CATALOGUE["output_tokens"], PRESETS["molmoe-1b"]
    return Sweep("output_tokens", build_settings(experiment, lengths, base_setting(experiment, config)))


def test_every_setting_is_of_one_shard_and_every_anchor_is_on_all():
    sweep = sweep_of(*range(1, 17))
    shards = split(CUDA, sweep, 4)
    assert sorted(place for shard in shards for place in shard.own) == list(range(16))
    assert {shard.anchors for shard in shards} == {shards[0].anchors}
    assert all(set(shard.anchors) <= set(shard.visited) for shard in shards)
    assert [shard.index for shard in shards] == [1, 2, 3, 4]


def test_the_split_follows_from_the_arguments_alone():
    sweep = sweep_of(*range(1, 17))
    assert split(CUDA, sweep, 2) == split(replace(CUDA, device="cuda:3"), sweep, 2)
    others = [replace(sweep, seed=1), replace(sweep, num_samples=3)]
    campaigns = {split(CUDA, each, 2)[0].campaign for each in (sweep, *others)}
    campaigns |= {split(replace(CUDA, engine="eager"), sweep, 2)[0].campaign, split(CUDA, sweep, 4)[0].campaign}
    assert len(campaigns) == 5
    assert split(CUDA, sweep, 2, "friday")[1].campaign == "friday"


def test_two_cards_share_sixteen_settings_within_what_anchors_allow():
    # 3 of 16 equal settings on both: (13 / 2 + 3) / 16 = 0.594 of the time, of whole settings 10 / 16.
    costs = [1.0] * 16
    assert usual_anchors(16, 2) == 3
    assert anchor_settings(costs, 3) == [0, 8, 15]
    shards = split(CUDA, sweep_of(*range(100, 116)), 2)
    cost = setting_costs(sweep_of(*range(100, 116)).settings)
    loads = [sum(cost[place] for place in shard.visited) for shard in shards]
    assert max(loads) / sum(cost) < 0.63
    assert abs(loads[0] - loads[1]) < 1.5


def test_what_costs_more_than_twice_the_mean_is_no_anchor():
    # Of 1, 1, 2, 3, 13 the mean is 4: the last costs more than 8.
    assert anchor_settings([1, 1, 2, 3, 13], 2) == [0, 3]
    assert anchor_settings([1, 1, 2, 3, 13], 1) == [2]
    assert anchor_settings([3, 1, 2], 0) == []


def test_no_shard_carries_all_the_costly_settings():
    sweep = sweep_of(8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
    costs = setting_costs(sweep.settings)
    assert sum(costs) == pytest.approx(len(costs))
    first, second = split(CUDA, sweep, 2, anchors=0)
    loads = [sum(costs[place] for place in shard.own) for shard in (first, second)]
    # The costliest alone is 0.5 + 0.5 * 10 * 0.5: what is left beside it is about as much.
    assert max(loads) < 0.56 * sum(costs)


@pytest.mark.parametrize(
    ("count", "anchors", "said"),
    [
        (0, None, "0 shards"),
        (1001, None, "1001 shards"),
        (3, None, "2 settings cannot be split into 3"),
        (2, 1, "with 1 anchor:"),
        (2, -1, "-1 anchor"),
    ],
)
def test_a_split_that_cannot_be_is_refused(count, anchors, said):
    with pytest.raises(UserError, match=said):
        split(Target(), small_sweep(), count, anchors=anchors)


def test_one_shard_is_the_whole_run():
    (only,) = split(Target(), small_sweep(), 1)
    assert (only.own, only.anchors) == ((0, 1), ())


@pytest.mark.parametrize("text", ["", "0/2", "3/2", "1", "1/", "/2", "-1/2", "1/2/3", "a/b", "1/99999", "٣/٤"])
def test_a_text_that_names_no_shard_is_refused(text):
    with pytest.raises(UserError, match="no shard"):
        parse_shard(text)


def test_a_shard_is_named_as_people_write_it():
    assert parse_shard(" 2/4 ") == (2, 4)


@pytest.mark.parametrize("campaign", ["", "a b", "../x", "x" * 61, "é"])
def test_an_id_that_is_no_file_name_is_refused(campaign):
    with pytest.raises(UserError, match="no id of a campaign"):
        split(Target(), small_sweep(), 1, campaign)


def test_a_shard_comes_back_as_it_was_written():
    sweep = small_sweep(values=(1, 2, 4))
    spec = shard_spec(Target(), sweep, split(Target(), sweep, 2, "friday")[1])
    assert spec.id == "friday-s002"
    assert RunSpec.from_dict(spec.to_dict()) == spec
    assert spec.num_inferences == 2 * len(spec.shard.visited)


@pytest.mark.parametrize(
    "changes",
    [
        {"index": 0},
        {"index": 3},
        {"count": 10**6},
        {"index": "1"},
        {"own": [7]},
        {"own": [-1]},
        {"own": []},
        {"own": [0.0]},
        {"own": None},
        {"campaign": "../up"},
        {"anchors": ["x"]},
    ],
)
def test_a_spool_whose_shard_cannot_be_holds_no_run(changes):
    sweep = small_sweep(values=(1, 2, 4))
    good = shard_spec(Target(), sweep, Shard("friday", 1, 2, (0, 1))).to_dict()
    bad = {**good, "shard": {**good["shard"], "anchors": [], **changes}}
    with pytest.raises((ValueError, TypeError)):
        RunSpec.from_dict(bad)


def test_numbers_of_shards_never_meet():
    shards = [Shard("friday", index, 3, (index,)) for index in (1, 2, 3)]
    numbers = [shard.whole_number(own) for shard in shards for own in range(5)]
    assert sorted(numbers) == list(range(15))


def test_what_is_of_another_run_is_named():
    sweep = small_sweep(values=(1, 2, 4))
    first, second = (shard_spec(Target(), sweep, each) for each in split(Target(), sweep, 2, "friday"))
    assert same_run(first, second) == []
    assert same_run(first, replace(second, target=Target(device="cuda:1"))) == []
    other = replace(second, target=Target(engine="graph"), sweep=replace(sweep, num_samples=9))
    assert same_run(first, other) == ["engine", "num samples"]
    assert same_run(first, shard_spec(Target(), sweep, split(Target(), sweep, 2, "friday", 0)[0])) == ["anchors"]
