"""Shards become one run: whatever their order, and nothing that is of another run, another version or there already."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import duckdb
import numpy as np
import pandas as pd
import pytest

from profcore.comparisons.cards import shared_cards
from profcore.errors import FormatError
from profcore.results.sweep import load_result
from profcore.spec.environments import set_aside_words, unlike
from profcore.spec.runs import RunSpec, Target
from profcore.spec.shards import state_of_run
from profcore.spec.stages import State
from profcore.storage.lines import records_of_kinds
from profcore.storage.migrations import MIGRATIONS
from profcore.storage.pooling import differing_conditions
from profcore.storage.read import PlaceConditions
from profcore.storage.rebuild import rebuild
from profcore.storage.spool import SpoolWriter
from profcore.storage.store import Store
from tests.storage.made_shards import HERE, TARGET, made_sample, shards_of, sweep_of, write_shard


@pytest.fixture
def sweep():
    return sweep_of()


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "p.duckdb") as made:
        made.spools.mkdir()
        yield made


def held(store: Store, run_id: str = "friday") -> pd.DataFrame:
    """What is of a run, in an order that depends on nothing."""
    return store.samples(run_id).sort_values("sample_id").reset_index(drop=True)


def test_shards_are_one_run_whatever_their_order(sweep, tmp_path):
    shards, seen = shards_of(sweep, 3), []
    for place, order in enumerate(itertools.permutations(shards)):
        folder = tmp_path / str(place)
        with Store(folder / "p.duckdb") as store:
            for shard in order:
                store.take_in(write_shard(store.spools, sweep, shard))
            (run,) = store.run_list().to_dict("records")
            assert (run["id"], run["state"], run["num_samples"]) == ("friday", "done", 60 + 2 * 10)
            seen.append(held(store))
            assert [each["shard"] for each in store.run("friday")["environments"]] == [1, 2, 3]
    for other in seen[1:]:
        pd.testing.assert_frame_equal(seen[0], other)


def test_each_sample_knows_its_environment_and_has_a_number_of_its_own(sweep, store):
    first, second = shards_of(sweep)
    for shard in (first, second):
        store.take_in(write_shard(store.spools, sweep, shard))
    samples = held(store)
    assert samples["sample_id"].is_unique
    own = samples[samples["environment_number"] == 1]
    assert set(own["setting"]) == set(second.visited)
    assert set(own["sample_id"] % 2) == {1}
    (anchor,) = first.anchors
    assert (samples["setting"] == anchor).sum() == 2 * sweep.num_samples
    run = store.run("friday")
    assert [(each["host"], each["card"], each["samples"]) for each in run["environments"]] == [
        ("node-1", "GPU-1", 10 * len(first.visited)),
        ("node-2", "GPU-2", 10 * len(second.visited)),
    ]
    assert run["planned_samples"] == 70
    assert run["spec"]["sweep"] == sweep.to_dict()
    assert "shard" not in run["spec"]


def test_a_shard_that_grows_is_taken_in_as_it_grows(sweep, store):
    first, second = shards_of(sweep)
    store.take_in(write_shard(store.spools, sweep, first))
    path = write_shard(store.spools, sweep, second)
    lines = path.read_bytes().splitlines(keepends=True)
    before = 0
    for upto in range(1, len(lines) + 1, 7):
        path.write_bytes(b"".join(lines[:upto]) + lines[min(upto, len(lines) - 1)][:9])
        store.take_in(path)
        run = store.run("friday")
        assert run["num_samples"] >= before
        assert run["state"] == "running" if upto > 2 else True
        before = run["num_samples"]
    path.write_bytes(b"".join(lines))
    assert store.take_in(path) >= 0
    assert store.run("friday")["state"] == "done"
    assert len(held(store)) == 70
    assert store.take_in(path) == 0


def test_what_is_missing_is_named_and_the_run_is_not_done(sweep, store):
    first, _, third = shards_of(sweep, 3)
    for shard in (first, third):
        store.take_in(write_shard(store.spools, sweep, shard))
    run = store.run("friday")
    assert (run["state"], run["reason"]) == ("stopped", "Shard 2 of 3 is not here yet.")


def test_a_shard_that_was_killed_and_goes_on_on_another_card_has_both_environments(sweep, store):
    first, second = shards_of(sweep)
    store.take_in(write_shard(store.spools, sweep, first))
    path = write_shard(store.spools, sweep, second, rounds=6, end=State.STOPPED)
    store.take_in(path)
    assert store.run("friday")["reason"] == "Shard 2 stopped: Stopped on request."
    number = len(records_of_kinds(path, "sample"))
    also = {"host": "node-9", "card": "GPU-9", "device": "cuda:0", "from_sample": number}
    with SpoolWriter(path) as writer:
        there = replace(HERE, host="node-2", card="GPU-2").to_dict()
        writer.state(State.RUNNING)
        writer.write({"type": "environment", **there, "also": [also]})

        noise = np.random.default_rng(1)
        for place, (visit, setting) in enumerate(itertools.product(range(6, 10), second.visited)):
            writer.sample(made_sample(number + place, setting, visit, 1.0, noise))
        writer.state(State.DONE)
    store.take_in(path)
    run, samples = store.run("friday"), held(store)
    assert run["state"] == "done"
    assert [(each["number"], each["card"]) for each in run["environments"]] == [
        (0, "GPU-1"),
        (1, "GPU-2"),
        (3, "GPU-9"),
    ]
    assert (samples["environment_number"] == 3).sum() == 4 * len(second.visited)
    assert len(samples) == 70


def test_of_what_is_no_latency_only_a_settings_own_shard_is_heard(sweep, store):
    first, second = shards_of(sweep)
    (anchor,) = first.anchors
    store.take_in(write_shard(store.spools, sweep, first))
    path = write_shard(store.spools, sweep, second, end=None)
    with SpoolWriter(path) as writer:
        writer.routing(anchor, (99,))
        writer.setting_failed(anchor, "Out of GPU memory.")
        writer.setting_failed(second.own[0], "Out of GPU memory.")
        writer.state(State.DONE)
    store.take_in(path)
    settings = store.settings("friday").set_index("setting")
    assert list(settings.loc[anchor, "prefill_experts"]) == [anchor, 7]
    assert settings["failed"].notna().to_dict() == {each: each == second.own[0] for each in range(6)}


def test_a_shard_on_another_version_is_left_out_with_what_differs(sweep, store):
    shards = shards_of(sweep, 3)
    # The odd one comes first, and the others are still the run.
    for place, shard in enumerate(shards):
        versions = {"torch": "2.10"} if place == 0 else {}
        store.take_in(write_shard(store.spools, sweep, shard, **versions))
    run = store.run("friday")
    refused = [each["refused"] for each in run["environments"]]
    assert refused == ["torch (2.11 there, 2.10 here)", None, None]
    assert run["environment"]["torch"] == "2.11"
    assert 0 not in set(held(store)["environment_number"])
    result = load_result(store, "friday")
    (text,) = [each.text for each in result.cautions if each.kind == "set aside"]
    assert "Shard 1, measured on GPU-1 of node-1, is left out" in text
    assert "torch (2.11 there, 2.10 here)" in text
    # Its samples are kept.
    assert run["num_samples"] == 80
    assert len(result.samples) == 80 - 10 * len(shards[0].visited)


@pytest.mark.parametrize(
    ("field", "value"), [("device_name", "NVIDIA A100"), ("engine", "eager"), ("dtype", "float16"), ("driver", "590")]
)
def test_what_must_not_differ_between_shards(field, value):
    facts = [HERE.to_dict(), replace(HERE, host="b", card="GPU-2", device="cuda:5", load=3.0).to_dict()]
    assert unlike(facts) == {}
    ((place, differ),) = unlike([*facts, {**facts[0], field: value}]).items()
    assert place == 2
    assert field.replace("_", " ") in differ[0]


def test_of_two_that_differ_the_first_counts():
    facts = [HERE.to_dict(), replace(HERE, torch="2.10").to_dict()]
    assert list(unlike(facts)) == [1]
    assert unlike([]) == {} == unlike(facts[:1])


def test_a_shard_that_is_there_already_is_not_taken_in_twice(sweep, store):
    first, _ = shards_of(sweep)
    store.take_in(write_shard(store.spools, sweep, first))
    copy = write_shard(store.spools.parent / "other", sweep, first)
    assert store.take_in(copy) == 0
    # The same part, measured again under another name.
    record = json.loads(copy.read_text().splitlines()[0])
    twice = copy.with_name("again.jsonl")
    twice.write_text(copy.read_text().replace(f'"id":"{record["id"]}"', '"id":"again"', 1))
    with pytest.raises(FormatError, match=r"is shard 1 of 2 of run friday, which is here already as friday-s001.jsonl"):
        store.take_in(twice)
    assert len(held(store)) == 10 * len(first.visited)


def test_a_shard_of_another_spec_is_refused_with_what_differs(sweep, store):
    first, second = shards_of(sweep)
    store.take_in(write_shard(store.spools, sweep, first))
    other = replace(sweep, num_samples=20)
    with pytest.raises(FormatError, match=r"asks for something else \(num samples\)"):
        store.take_in(write_shard(store.spools.parent / "other", other, second))
    path = write_shard(store.spools.parent / "third", sweep, second, target=replace(TARGET, dtype="float16"))
    with pytest.raises(FormatError, match=r"\(dtype\)"):
        store.take_in(path)
    assert store.run("friday")["num_samples"] == 10 * len(first.visited)


def test_a_shard_of_more_shards_or_with_anothers_settings_is_refused(sweep, store):
    first, second = shards_of(sweep)
    store.take_in(write_shard(store.spools, sweep, first))
    folder = store.spools.parent / "other"
    with pytest.raises(FormatError, match=r"number of shards \(2 there, 3 here\)"):
        store.take_in(write_shard(folder, sweep, shards_of(sweep, 3)[1]))
    (folder / "friday-s002.jsonl").unlink()
    with pytest.raises(FormatError, match=r"settings of it are those of friday-s001\.jsonl"):
        store.take_in(write_shard(folder, sweep, replace(second, own=first.own)))


def test_a_run_by_the_same_id_is_no_run_of_shards(sweep, store):
    spec = replace(RunSpec.new(TARGET, sweep), id="friday")
    with SpoolWriter(store.spools / "friday.jsonl") as writer:
        writer.run(spec)
        writer.state(State.DONE)
    store.take_in(store.spools / "friday.jsonl")
    with pytest.raises(FormatError, match="no run of shards"):
        store.take_in(write_shard(store.spools, sweep, shards_of(sweep)[0]))


def test_one_shard_that_cannot_be_taken_in_keeps_no_other_out(sweep, store):
    first, second = shards_of(sweep)
    write_shard(store.spools, sweep, first)
    write_shard(store.spools, replace(sweep, seed=9), second)
    store.take_in_all()
    assert list(store.unread) == ["friday-s002.jsonl"]
    assert "asks for something else (seed)" in store.unread["friday-s002.jsonl"]
    assert store.run("friday")["num_samples"] == 10 * len(first.visited)


def test_a_truncated_shard_is_taken_in_up_to_where_it_ends_and_its_end_is_written(sweep, store):
    first, second = shards_of(sweep)
    write_shard(store.spools, sweep, first)
    path = write_shard(store.spools, sweep, second)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    store.take_in_all()
    assert store.run("friday")["state"] == "running"
    assert store.end_abandoned() == 1
    run = store.run("friday")
    assert run["state"] == "failed"
    assert run["reason"].startswith("Shard 2 failed: The program that had started this run ended")


def test_a_shard_whose_spool_is_taken_away_fails_alone(sweep, store):
    first, second = shards_of(sweep)
    write_shard(store.spools, sweep, first)
    path = write_shard(store.spools, sweep, second, end=None)
    store.take_in_all()
    path.unlink()
    assert store.end_abandoned() == 1
    assert store.run("friday")["reason"] == "Shard 2 failed: Its spool was taken away before it was done."


def test_a_run_is_removed_with_all_its_shards(sweep, store):
    for shard in shards_of(sweep):
        store.take_in(write_shard(store.spools, sweep, shard))
    store.rename("friday", "Monday's")
    store.remove("friday")
    assert store.run("friday") is None
    assert not list(store.spools.glob("*.jsonl"))
    store.take_in_all()
    assert store.run_list().empty


def test_a_rebuilt_database_has_the_same_run_with_its_name(sweep, tmp_path):
    with Store(tmp_path / "p.duckdb") as store:
        for shard in reversed(shards_of(sweep)):
            store.take_in(write_shard(store.spools, sweep, shard))
        store.rename("friday", "Friday's")
        before = held(store)
    rebuild(tmp_path / "p.duckdb")
    with Store(tmp_path / "p.duckdb") as store:
        assert store.run("friday")["name"] == "Friday's"
        pd.testing.assert_frame_equal(held(store), before)


def test_a_card_whose_anchors_differ_is_out_of_every_figure_and_named(store):
    sweep = sweep_of(num_samples=30)
    for shard in shards_of(sweep, 3):
        store.take_in(write_shard(store.spools, sweep, shard, slower=1.04 if shard.index == 2 else 1.0))
    run = store.run("friday")
    (text,) = set_aside_words(run["environments"])
    assert text.startswith("GPU-2 of node-2 is left out of every figure")
    assert "+4.0" in text or "+3.9" in text
    second = shards_of(sweep, 3)[1]
    result = load_result(store, "friday")
    assert {each for each in second.own if each not in second.anchors}.isdisjoint(result.samples["setting"])
    assert set(held(store)["environment_number"]) == {0, 2}
    figures = store.figures(["friday"]).iloc[0]
    assert len(figures["totals_ms"]) == result.samples["setting"].nunique()
    assert (
        len(store.steps("friday"))
        == len(store.measured("friday"))
        == len(result.samples)
        == store.sample_table("friday").num_rows
    )


def test_a_card_that_drifted_between_two_of_its_shards_is_named_with_what_differs(store):
    sweep = sweep_of(num_samples=30)
    shards = shards_of(sweep, 3)
    for shard in shards:
        drifted = {"slower": 1.04, "clock": (1500.0, 81.0)} if shard.index == 2 else {"clock": (1980.0, 62.0)}
        store.take_in(write_shard(store.spools, sweep, shard, host="node-1", card="GPU-1", **drifted))
    (text,) = set_aside_words(store.run("friday")["environments"])
    assert text.startswith("Shard 2, measured on GPU-1 of node-1, is left out of every figure")
    assert "+4.0" in text or "+3.9" in text
    assert text.endswith("; SM clock 1,500 MHz there, 1,980 MHz elsewhere; 81 °C there, 62 °C elsewhere.")
    assert set(held(store)["environment_number"]) == {0, 2}


@pytest.mark.parametrize(("before", "later"), [(20, True), (10, False)])
def test_a_card_that_drifted_before_a_shard_went_on_is_named_and_the_longer_part_stays(store, before, later):
    sweep = sweep_of(num_samples=30)
    (shard,) = shards_of(sweep, 1)
    path = write_shard(store.spools, sweep, shard, rounds=before, end=State.STOPPED, clock=(1980.0, 62.0))
    store.take_in(path)
    began = store.conditions_of_places("friday")[0].started_s
    assert store.environments("friday") == []
    number, noise = before * len(shard.visited), np.random.default_rng(3)
    there = {"host": "node-1", "card": "GPU-1"}
    with SpoolWriter(path) as writer:
        writer.write({"type": "state", "state": "running", "at": f"{datetime.now(UTC) + timedelta(hours=20)}"})
        also = [{**there, "device": "cuda:0", "from_sample": number}]
        writer.write({"type": "environment", **replace(HERE, **there).to_dict(), "also": also})
        for place, (visit, setting) in enumerate(itertools.product(range(before, 30), shard.visited)):
            sample = made_sample(number + place, setting, visit, 1.04, noise)
            writer.sample(replace(sample, telemetry={"sm_clock_mhz": 1500.0, "temperature_c": 81.0}))
        writer.state(State.DONE)
    store.take_in(path)
    (text,) = set_aside_words(store.run("friday")["environments"])
    called = f"Shard 1 from its sample {number} on" if later else "Shard 1"
    assert text.startswith(f"{called}, measured on GPU-1 of node-1, is left out of every figure")
    assert ("+4." if later else "−3.") in text or "+3.9" in text
    assert text.endswith(f"started 20 h {'later' if later else 'earlier'} than the others.")
    assert len(held(store)) == len(shard.visited) * max(before, 30 - before)
    starts = [each.started_s for each in store.conditions_of_places("friday").values()]
    assert starts[0] == began
    assert round((starts[1] - began) / 3600) == 20
    assert shared_cards(store, "friday").parts["shard"].tolist() == ["1", f"1, from sample {number}"]
    # Taken in anew at once it is the same.
    before_it = held(store)
    rebuild(store.path)
    with Store(store.path) as again:
        pd.testing.assert_frame_equal(held(again), before_it)
        assert [each.started_s for each in again.conditions_of_places("friday").values()] == starts


def test_a_day_between_two_shards_is_said_where_they_differ():
    first, later = PlaceConditions(1980.0, None, 0.0), PlaceConditions(1981.0, 70.0, 26 * 3600.0)
    assert differing_conditions(later, [first, first]) == ["started 26 h later than the others"]
    assert differing_conditions(first, [later]) == ["started 26 h earlier than the others"]
    assert differing_conditions(PlaceConditions(None, None, None), [first]) == []
    assert differing_conditions(first, []) == []


@pytest.mark.parametrize(("anchors", "samples"), [(0, 10), (1, 5)])
def test_parts_that_nothing_compares_are_pooled_and_said(store, anchors, samples):
    sweep = sweep_of(num_samples=samples)
    for shard in shards_of(sweep, 3, anchors=anchors):
        store.take_in(write_shard(store.spools, sweep, shard, slower=1.0 + shard.index))
        said = [each.text for each in load_result(store, "friday").cautions if each.kind == "not compared"]
    assert store.run("friday")["state"] == "done"
    assert said == [
        "Shard 1, Shard 2, Shard 3 were pooled with the rest without being compared, since no setting has 6 samples or "
        "more there and elsewhere: whether their cards differ is not known."
    ]


def test_parts_that_are_compared_are_not_said_to_be_none(sweep, store):
    for shard in shards_of(sweep, 3):
        store.take_in(write_shard(store.spools, sweep, shard))
    assert "not compared" not in [each.kind for each in load_result(store, "friday").cautions]


def test_a_place_from_a_sample_that_no_run_has_is_none(sweep, store):
    (shard,) = shards_of(sweep, 1)
    path = write_shard(store.spools, sweep, shard)
    also = '"also":[{"host":"b","card":"c","from_sample":1000000000000000000000000000000}]'
    path.write_text(path.read_text().replace('{"type":"environment",', f'{{"type":"environment",{also},'))
    assert store.take_in(path) == 60
    assert store.environments("friday") == []


def test_a_whole_run_by_the_id_of_a_run_of_shards_is_refused(sweep, store):
    store.take_in(write_shard(store.spools, sweep, shards_of(sweep)[0]))
    path = store.spools / "friday.jsonl"
    with SpoolWriter(path) as writer:
        writer.run(replace(RunSpec.new(Target(), sweep), id="friday"))
    with pytest.raises(FormatError, match=r"^friday.jsonl is a whole run, and another is here by that id already"):
        store.take_in(path)


def test_what_differs_is_named_by_its_part():
    places = [
        {"host": "a", "card": "G", "shard": 2, "from_sample": 40, "set_aside": "x"},
        {"host": "a", "card": "G", "from_sample": 8, "set_aside": "y"},
        {"host": "b", "card": "H", "shard": 1, "from_sample": 0, "set_aside": "z"},
    ]
    first, second, third = set_aside_words(places)
    assert first.startswith("Shard 2 from its sample 40 on, measured on G of a, is left out")
    assert second.startswith("What follows sample 8, measured on G of a, is left out")
    assert third.startswith("H of b is left out")


def test_how_many_samples_were_measured_and_how_many_are_left_out_is_counted(store):
    from profcore.cli.runs import run_line
    from profcore.service.key_figures import KeyFigures
    from profcore.spec.text import samples_words

    sweep = sweep_of(num_samples=30)
    shards = shards_of(sweep, 3)
    paths = [write_shard(store.spools, sweep, each, slower=1.04 if each.index == 2 else 1.0) for each in shards]
    figures = KeyFigures(store)
    for path in (paths[0], paths[2]):
        store.take_in(path)
    assert len(figures.add_to(store.run_list())["totals_ms"][0]) < 6
    store.take_in(paths[1])
    (run,) = store.run_list().to_dict("records")
    left_out = 30 * len(shards[1].visited)
    assert (run["num_samples"], run["num_set_aside"]) == (240, left_out)
    assert run_line(run)["samples"] == f"240, {left_out} left out"
    assert store.run("friday")["num_set_aside"] == left_out
    assert samples_words(run) == f"240 samples, {left_out} of them left out of every figure"
    assert samples_words({"num_samples": 1}) == "1 sample"
    # Pooled after all, without a sample more: the figures are others.
    with store.connection.transaction() as cursor:
        cursor.execute("UPDATE environments SET set_aside = NULL")
    assert len(figures.add_to(store.run_list())["totals_ms"][0]) == 6


def test_cards_that_agree_are_pooled(store):
    sweep = sweep_of(num_samples=30)
    for shard in shards_of(sweep, 3):
        # Half a per cent is more than chance and less than is borne.
        store.take_in(write_shard(store.spools, sweep, shard, slower=1.005 if shard.index == 2 else 1.0))
    run = store.run("friday")
    assert set_aside_words(run["environments"]) == []
    assert len(load_result(store, "friday").samples) == run["num_samples"]


def test_a_card_that_agrees_after_all_is_pooled_again(store):
    sweep = sweep_of(num_samples=40)
    first, second = shards_of(sweep)
    store.take_in(write_shard(store.spools, sweep, first))
    path = write_shard(store.spools, sweep, second, slower=1.05, rounds=12)
    store.take_in(path)
    (aside,) = [each for each in store.run("friday")["environments"] if each["set_aside"]]
    assert aside["card"] == "GPU-2"
    # It was cold, and its median is that of the others in the end.
    number = len(records_of_kinds(path, "sample"))

    noise = np.random.default_rng(3)
    with SpoolWriter(path) as writer:
        for place, (visit, setting) in enumerate(itertools.product(range(12, 60), second.visited)):
            writer.sample(made_sample(number + place, setting, visit, 1.0, noise))
        writer.state(State.DONE)
    store.take_in(path)
    assert not [each for each in store.run("friday")["environments"] if each["set_aside"]]


def test_a_runs_fingerprint_changes_with_each_of_its_shards(sweep, store):
    seen = set()
    for shard in shards_of(sweep, 3):
        store.take_in(write_shard(store.spools, sweep, shard))
        seen.add(store.fingerprint("friday"))
    assert len(seen) == 3


def test_where_a_run_stands_follows_from_its_shards():
    done, failed, stopped = (State.DONE, None), (State.FAILED, "It broke."), (State.STOPPED, "Stopped on request.")
    running, queued = (State.RUNNING, None), (State.QUEUED, None)
    assert state_of_run({1: done, 2: done}, 2) == (State.DONE, None)
    assert state_of_run({1: done, 2: running}, 3)[0] is State.RUNNING
    assert state_of_run({1: queued, 2: queued}, 2)[0] is State.QUEUED
    assert state_of_run({1: done, 2: queued}, 2)[0] is State.RUNNING
    assert state_of_run({1: failed, 2: stopped}, 2) == (
        State.FAILED,
        "Shard 1 failed: It broke. Shard 2 stopped: Stopped on request.",
    )
    assert state_of_run({2: done}, 8) == (State.STOPPED, "Shards 1, 3, 4, 5, 6 … of 8 are not here yet.")
    many = dict.fromkeys(range(1, 9), failed)
    assert state_of_run(many, 8)[1].endswith("And 3 more.")


def test_a_database_of_an_older_version_tells_the_environments_of_a_run_that_went_on_elsewhere(tmp_path):
    path = tmp_path / "old.duckdb"
    also = [
        {"host": "b", "card": "GPU-2", "device": "cuda:0", "from_sample": 2},
        {"host": "c", "card": "GPU-3", "device": "cuda:1", "from_sample": 5},
    ]
    before = next(place for place, script in enumerate(MIGRATIONS) if "CREATE TABLE environments" in script)
    with duckdb.connect(str(path)) as old:
        for script in MIGRATIONS[:before]:
            old.execute(script)
        old.execute(f"CREATE TABLE profcore_version AS SELECT {before} AS version")
        for run_id, environment in (
            ("went", {**HERE.to_dict(), "also": also}),
            ("stayed", HERE.to_dict()),
            ("odd", {}),
        ):
            text = json.dumps(environment) if environment else "no JSON"
            old.execute(
                "INSERT INTO runs (id, experiment, source, state, created_at, environment) "
                "VALUES (?, 'moe_topk', 'measured', 'done', '2026-01-01', ?)",
                [run_id, text],
            )
            old.execute("INSERT INTO settings (run_id, setting, top_k) VALUES (?, 0, 1)", [run_id])
            old.executemany(
                "INSERT INTO samples (run_id, sample_id, setting, total_ms) VALUES (?, ?, 0, 1)",
                [[run_id, number] for number in range(7)],
            )
    with Store(path) as store:
        assert [(each["host"], each["samples"]) for each in store.environments("went")] == [
            ("node-1", 2),
            ("b", 3),
            ("c", 2),
        ]
        assert store.environments("stayed") == store.environments("odd") == []
        assert store.samples("stayed")["environment_number"].isna().all()
        assert "environment_number" not in store.sample_table("stayed").column_names


def test_a_run_that_goes_on_on_another_card_has_two_environments(store):
    sweep = sweep_of((1, 2), num_samples=8)
    spec = RunSpec.new(Target(), sweep)
    path = store.spools / f"{spec.id}.jsonl"

    noise = np.random.default_rng(2)
    with SpoolWriter(path) as writer:
        writer.run(spec)
        writer.environment(HERE)
        for number in range(8):
            writer.sample(made_sample(number, number % 2, number // 2, 1.0, noise))
    store.take_in(path)
    assert store.environments(spec.id) == []
    with SpoolWriter(path) as writer:
        also = {"host": "node-2", "card": "GPU-2", "device": "cuda:0", "from_sample": 8}
        writer.write({"type": "environment", **HERE.to_dict(), "also": [also]})
        for number in range(8, 16):
            writer.sample(made_sample(number, number % 2, number // 2, 1.0, noise))
        writer.state(State.DONE)
    store.take_in(path)
    assert [(each["card"], each["samples"]) for each in store.environments(spec.id)] == [("GPU-1", 8), ("GPU-2", 8)]
    assert set(store.samples(spec.id)["environment_number"].fillna(0)) == {0, 1}


def test_a_snapshot_of_a_database_holds_its_shards(sweep, store, tmp_path):
    for shard in shards_of(sweep):
        store.take_in(write_shard(store.spools, sweep, shard))
    store.connection.snapshot(tmp_path / "copy.duckdb")
    with Store(tmp_path / "copy.duckdb", tmp_path / "none") as copy:
        pd.testing.assert_frame_equal(held(copy), held(store))


def test_spools_are_found_by_their_run_and_the_other_way_round(sweep, store):
    for shard in shards_of(sweep):
        store.take_in(write_shard(store.spools, sweep, shard))
    assert store.spools_of("friday") == ["friday-s001", "friday-s002"]
    assert store.run_of("friday-s002") == "friday"
    assert store.spools_of("another") == ["another"]
    shutil.rmtree(store.spools)


def test_what_is_written_of_such_a_run_is_read_as_it_was(store, tmp_path):
    from profcore.export.archive import load_run, run_result_files
    from profcore.formats.imports import read_import, write_import

    sweep = sweep_of(num_samples=30)
    for shard in shards_of(sweep, 3):
        store.take_in(write_shard(store.spools, sweep, shard, slower=1.04 if shard.index == 2 else 1.0))
    result = load_run(store, "friday")
    text = next(iter(run_result_files(store, result).values()))
    document = json.loads(text)
    written = document["metadata"]["environments"]
    assert [(each["number"], each["card"], each["shard"]) for each in written] == [
        (0, "GPU-1", 1),
        (1, "GPU-2", 2),
        (2, "GPU-3", 3),
    ]
    assert "LLM" in written[1]["set_aside"] or "encoder" in written[1]["set_aside"]
    assert {row["environment_number"] for row in document["all_samples"]} == {0, 2}
    with Store(tmp_path / "other.duckdb") as other:
        found = read_import(text.encode(), "file.json", other.spools)
        write_import(found, other.spools)
        other.take_in_all()
        again = load_run(other, found.run_id)
        assert again.run["environments"][1]["set_aside"] == written[1]["set_aside"]
        second = json.loads(next(iter(run_result_files(other, again).values())))
        assert second["metadata"]["environments"] == written
        assert second["all_samples"] == document["all_samples"]
        for places in (
            [{"number": -1}],
            [{"number": 1}, {"number": 1}],
            "two",
            [{"number": 2**40}],
            [3],
            [{"card": "x"}],
        ):
            bad = {**document, "metadata": {**document["metadata"], "environments": places}}
            if places != "two":
                with pytest.raises(FormatError, match="cannot be imported: environments 1"):
                    read_import(json.dumps(bad).encode(), "file.json", other.spools)


def test_how_many_samples_a_run_will_have_counts_the_anchors_of_each_shard(sweep, store):
    first, second = shards_of(sweep)
    store.take_in(write_shard(store.spools, sweep, first))
    store.take_in(write_shard(store.spools, sweep, second, rounds=4, end=None))
    result = load_result(store, "friday")
    assert result.planned == 70
    assert result.remaining_s > 0


def test_shards_are_imported_as_parts_of_one_run_and_no_part_of_another_is(sweep, store, tmp_path):
    from profcore.formats.imports import read_import, write_import

    first, second = (write_shard(tmp_path / "there", sweep, shard) for shard in shards_of(sweep))
    for path in (second, first):
        found = read_import(path.read_bytes(), path.name, store.spools)
        assert found.note == f"It is shard {path.stem[-1]} of 2 of run friday."
        write_import(found, store.spools)
        store.take_in_all()
    assert store.run("friday")["state"] == "done"
    assert not read_import(first.read_bytes(), "again", store.spools).new
    other = write_shard(tmp_path / "other", replace(sweep, seed=3), shards_of(sweep)[1])
    (store.spools / "friday-s002.jsonl").unlink()
    with pytest.raises(
        FormatError, match=r"shard 2 of 2 of run friday, but no part of what is here by that id \(seed\)"
    ):
        read_import(other.read_bytes(), other.name, store.spools)


def test_a_shard_with_settings_of_another_is_not_imported(sweep, store, tmp_path):
    from profcore.formats.imports import read_import, write_import

    first, second = shards_of(sweep)
    one = write_shard(tmp_path / "there", sweep, first)
    write_import(read_import(one.read_bytes(), one.name, store.spools), store.spools)
    other = write_shard(tmp_path / "there", sweep, replace(second, own=first.own))
    with pytest.raises(FormatError, match=r"settings of it are those of shard 1"):
        read_import(other.read_bytes(), other.name, store.spools)
