"""The commands that weigh joint settings: what they print, and what they refuse with status 2."""

import json

import pytest

from profcore.cli.parser import main
from profcore.storage.store import Store
from tests.comparisons.stored import store_run
from tests.results.stored_joint import made_up_sweep, store_joint
from tests.support import small_sweep


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A database with a joint run of 36 settings with quality, one without, and a run of one knob."""
    path = tmp_path_factory.mktemp("weighed") / "data.duckdb"
    sweep = made_up_sweep(top_ks=(1, 2, 4, 8), blocks=(4, 8, 16))
    with Store(path) as store:
        ids = [
            store_joint(store, sweep),
            store_joint(store, sweep, quality=None, hour=1, engine="graph"),
            store_run(store, small_sweep(), lambda setting: 1.0, hour=2),
        ]
    return path, *ids


@pytest.fixture
def ask(runs, capsys):
    """Runs a command over that database; gives its status and what it printed."""

    def asked(*words):
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words), "--db", str(runs[0])])
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return asked


def test_a_budget_is_answered_in_words_and_as_json(ask, runs):
    code, said, _ = ask("budget", runs[1], "--ttft-ms", 12, "--percentile", "P95")
    assert code == 0
    assert "Within 12 ms of TTFT at P95" in said
    assert "The weights are random, so quality means nothing here" in said
    code, said, _ = ask("budget", runs[2], "--ttft-ms", 12, "--json")
    assert (code, json.loads(said)["quality"]) == (0, None)
    code, said, _ = ask("budget", runs[1], "--total-ms", 1, "--lookup")
    assert [entry["latency"] for entry in json.loads(said)] == sorted(entry["latency"] for entry in json.loads(said))


def test_a_budget_below_every_setting_ends_with_status_2(ask, runs):
    code, said, wrong = ask("budget", runs[1], "--ttft-ms", 1)
    assert (code, said) == (2, "")
    assert "the least possible is" in wrong
    assert ask("budget", runs[1])[0] == 2
    assert "no number of milliseconds above 0" in ask("budget", runs[1], "--ttft-ms", "0")[2]
    assert "no percentile" in ask("budget", runs[1], "--ttft-ms", "9", "--percentile", "100")[2]


def test_a_frontier_and_its_overlap(ask, runs):
    code, said, _ = ask("frontier", runs[1], "--latency", "ttft")
    assert code == 0
    assert "are on the frontier" in said
    assert "The weights are random, so quality means nothing here" in said
    rows = json.loads(ask("frontier", runs[1], "--json")[1])
    assert len(rows) == 36
    assert {row["on_frontier"] for row in rows} == {True, False}
    assert len(json.loads(ask("frontier", runs[1], "--hold", "top-k=8", "--json")[1])) == 9
    assert "never was 3: choose from 1, 2, 4, 8" in ask("frontier", runs[1], "--hold", "top-k=3")[2]
    assert "names no knob and value" in ask("frontier", runs[1], "--hold", "heads=3")[2]
    code, said, _ = ask("frontier", runs[1], "--with", runs[2], "--quality", "work-kept")
    assert "share 100% of their settings" in said
    assert "recorded no quality" in ask("frontier", runs[2], "--quality", "accuracy")[2]
    assert "is no joint run" in ask("frontier", runs[3])[2]


def test_a_latency_model_is_printed_written_and_recalibrated(ask, runs, tmp_path):
    code, said, _ = ask("latency-model", runs[1], "--python", tmp_path / "model.py")
    assert code == 0
    assert "Vision = " in said
    assert "def predict(" in (tmp_path / "model.py").read_text()
    document = json.loads(ask("latency-model", runs[1], "--recalibrate", runs[2], "--json")[1])
    assert document["conditions"]["engine"] == "graph"
    assert "measured under different conditions (engine" in ask("latency-model", runs[1], runs[2])[2]
