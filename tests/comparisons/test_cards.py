"""Kinds of cards on one experiment side by side, and the cards that share a run."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from profcore.comparisons.cards import find_card_groups, load_cards, shared_cards
from profcore.spec.runs import RunSpec
from profcore.spec.stages import State
from profcore.storage.spool import SpoolWriter
from profcore.storage.store import Store
from tests.storage.made_shards import HERE, TARGET, made_sample, shards_of, sweep_of, write_shard
from tests.support import CEILINGS


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "p.duckdb") as made:
        made.spools.mkdir()
        yield made


def write_run(store: Store, sweep, *, slower: float = 1.0, **environment) -> str:
    """A run on one card."""

    spec, noise = RunSpec.new(TARGET, sweep), np.random.default_rng(4)
    path = store.spools / f"{spec.id}.jsonl"
    with SpoolWriter(path) as writer:
        writer.run(spec)
        writer.environment(replace(HERE, **environment))
        writer.ceilings(CEILINGS)
        for number in range(len(sweep.settings) * sweep.num_samples):
            setting = number % len(sweep.settings)
            writer.sample(made_sample(number, setting, number // len(sweep.settings), slower, noise))
        writer.state(State.DONE)
    store.take_in(path)
    return spec.id


def test_kinds_of_cards_stand_side_by_side_with_what_else_differs(store):
    sweep = sweep_of(num_samples=20)
    first = write_run(store, sweep)
    other = write_run(store, sweep, slower=0.8, device_name="NVIDIA H200", driver="590.2")
    write_run(store, sweep, engine="eager")
    groups = find_card_groups(store, "moe_topk")
    assert [len(group.runs) for group in groups] == [2, 1]
    assert groups[0].runs == {"NVIDIA H200": other, "NVIDIA H100": first}
    assert groups[0].title == "molmoe-1b (random weights, bfloat16), compiled"
    found = load_cards(store, groups[0])
    assert list(found.names.values()) == ["NVIDIA H200", "NVIDIA H100"]
    assert found.differences == ["driver: 590.2 (NVIDIA H200); 580.1 (NVIDIA H100)"]
    (each,) = found.found.runs.values()
    stages = each.stages.set_index("metric")
    for metric in ("vision_encoder_ms", "llm_prefill_ms", "llm_decode_ms"):
        assert stages.loc[metric, "low"] < 1.25 < stages.loc[metric, "high"]
        assert stages.loc[metric, "ratio"] == pytest.approx(1.25, rel=2e-3)
    assert set(found.medians["run"]) == {"NVIDIA H200", "NVIDIA H100"}
    assert found.medians.groupby(["run", "metric"]).size().min() == 6


def test_groups_that_are_measured_alike_are_told_apart_by_what_is_held(store):
    from profcore.spec.queries import DEFAULT_PROMPT

    write_run(store, sweep_of((1, 2), num_samples=2))
    write_run(store, sweep_of((1, 2), num_samples=2, prompt="Another?"))
    titles = sorted(group.title for group in find_card_groups(store, "moe_topk"))
    assert titles == [
        f"molmoe-1b (random weights, bfloat16), compiled; prompt: “{text}”"
        for text in sorted(["Another?", DEFAULT_PROMPT])
    ]


def test_one_card_alone_is_compared_with_nothing(store):
    write_run(store, sweep_of(num_samples=6))
    found = load_cards(store, find_card_groups(store, "moe_topk")[0])
    assert found.found is None
    assert found.medians.empty
    assert find_card_groups(store, "output_tokens") == []


def test_the_cards_of_a_shared_run_say_how_they_differ(store):
    sweep = sweep_of(num_samples=40)
    for shard in shards_of(sweep, 3):
        store.take_in(write_shard(store.spools, sweep, shard, slower=1.03 if shard.index == 3 else 1.0))
    found = shared_cards(store, "friday")
    assert found.parts["in the figures"].tolist() == ["yes", "yes", "no"]
    assert found.parts["shard"].tolist() == ["1", "2", "3"]
    assert found.parts["settings"].sum() == 6
    assert found.parts["samples"].sum() == 40 * 8
    assert found.parts["LLM prefill"].iloc[2].startswith(("+2.9", "+3.0", "+3.1"))
    assert (found.cards, found.pooled) == (3, 2)
    spread = found.spread.set_index("latency")
    assert (spread["cards"] == "2").all()
    # Those that are pooled were drawn alike.
    assert float(spread.loc["LLM prefill", "between (%)"]) < 0.2


def test_the_share_between_cards_follows_from_the_anchors(store):
    sweep = sweep_of(num_samples=60)
    for shard in shards_of(sweep, 2):
        store.take_in(write_shard(store.spools, sweep, shard, slower=1.006 if shard.index == 2 else 1.0))
    row = shared_cards(store, "friday").spread.set_index("latency").loc["LLM decode"]
    # Medians that are log 1.006 apart have a standard deviation of that over √2; a median of noise of 0.2 % has one
    # of √(π/2) times that.
    assert float(row["between (%)"]) == pytest.approx(100 * math.log(1.006) / math.sqrt(2), rel=0.15)
    within = float(row["one sample within (%)"])
    assert within == pytest.approx(0.2 * math.sqrt(math.pi / 2), rel=0.6)
    share = float(row["between (%)"]) ** 2 / (float(row["between (%)"]) ** 2 + within**2)
    assert float(row["share between (%)"]) == pytest.approx(100 * share, rel=0.02)


def test_a_run_on_one_card_is_shared_by_none(store):
    run_id = write_run(store, sweep_of(num_samples=2))
    assert shared_cards(store, run_id) is None


def test_shards_of_one_card_are_compared_with_each_other(store):
    sweep = sweep_of(num_samples=40)
    for shard in shards_of(sweep, 3):
        own = {"slower": 1.03, "clock": (1500.0, 81.0)} if shard.index == 3 else {"clock": (1980.0, 62.0)}
        store.take_in(write_shard(store.spools, sweep, shard, host="node-1", card="GPU-1", **own))
    found = shared_cards(store, "friday")
    assert (found.cards, found.pooled) == (1, 2)
    assert found.parts["in the figures"].tolist() == ["yes", "yes", "no"]
    assert found.parts["SM clock (MHz)"].tolist() == ["1,980", "1,980", "1,500"]
    assert found.parts["temperature (°C)"].tolist() == ["62.0", "62.0", "81.0"]
    assert (found.spread["parts"] == "2").all()


def test_what_one_card_measured_in_several_parts_is_joined_where_cards_are_compared(store):
    sweep = sweep_of(num_samples=40)
    for shard in shards_of(sweep, 3):
        store.take_in(write_shard(store.spools, sweep, shard, card="GPU-1", host="a" if shard.index < 3 else "b"))
    found = shared_cards(store, "friday")
    assert (found.cards, found.pooled, len(found.parts)) == (2, 3, 3)
    assert (found.spread["cards"] == "2").all()
