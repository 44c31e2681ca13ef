"""What `bench` says of several cards and of many shards; how fast they are is no test's."""

from __future__ import annotations

import pytest

from profcore.bench import shards
from profcore.bench.report import BENCHMARKS
from profcore.spec.runs import Target
from profcore.storage.spool import read_spec, spool_files
from profcore.storage.store import Store
from profcore.worker.queue import Jobs
from tests.support import FAKE, ROOT


def test_two_cards_are_timed_against_one_with_anchors_and_without(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_CARDS", "2")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    jobs = Jobs(tmp_path, FAKE, "command")
    try:
        jobs.devices()
        figures = shards.on_two(jobs, Target("tiny", "cuda:0"), ["cuda:0", "cuda:1"], samples=2)
    finally:
        jobs.close()
    assert [figure.benchmark for figure in figures] == ["cards-anchors", "cards-bare", "cards-medians", "cards-apart"]
    assert [figure.must.high for figure in figures if figure.must] == [0.62, 0.55, 1.0]
    # The made-up samples are all alike.
    assert figures[2].value == 0
    specs = [read_spec(path) for path in spool_files(tmp_path)]
    assert sorted(len(spec.shard.anchors) for spec in specs if spec.shard) == [0, 0, 0, 0, 3, 3]


def test_without_two_cards_nothing_is_said_to_have_been_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr("profcore.worker.queue.Jobs", lambda spools, by: Jobs(spools, FAKE, by))
    assert BENCHMARKS["cards"](Target(), None) == []
    assert "not run, a machine with two cards" in capsys.readouterr().err


@pytest.mark.long
def test_shards_are_taken_in_whole_while_they_are_written(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(shards, "_SHARDS", 4)
    monkeypatch.setattr(shards, "_SAMPLES", 300)
    figures = BENCHMARKS["shards"](Target(), None)
    assert [figure.benchmark for figure in figures] == ["shards-rerun", "shards-rerun-95", "shards-taken-in"]
    assert all(figure.value > 0 for figure in figures)


def test_what_is_written_is_one_run_of_as_many_samples(tmp_path):
    with Store(tmp_path / "p.duckdb") as store:
        shards.write_shards(store.spools, 4, 300)
        store.take_in_all()
        run = store.run("bench")
    assert (run["state"], run["num_samples"]) == ("done", 1200)
    assert not any(each["set_aside"] or each["refused"] for each in run["environments"])
