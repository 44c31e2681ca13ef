"""The commands that weigh joint settings: what they print, and what they refuse with status 2."""

import json

import pytest

from profcore.cli.parser import main
from profcore.models.recorded import shape_record
from profcore.models.shapes.shape import SHAPES_CONFIG, WHAT
from profcore.storage.store import Store
from tests.comparisons.stored import store_run
from tests.results.stored_joint import made_up_sweep, store_joint
from tests.support import small_sweep


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A database with a joint run of 36 settings with quality, one without, a run of one knob, and a flagged one."""
    path = tmp_path_factory.mktemp("weighed") / "data.duckdb"
    sweep = made_up_sweep(top_ks=(1, 2, 4, 8), blocks=(4, 8, 16))
    small = {"weights": "real", "shape": shape_record(SHAPES_CONFIG)}
    with Store(path) as store:
        ids = [
            store_joint(store, sweep),
            store_joint(store, sweep, quality=None, hour=1, engine="graph"),
            store_run(store, small_sweep(), lambda setting: 1.0, hour=2),
            store_joint(store, sweep, hour=3, held_back=(0, 5, 7), engine="compiled", **small),
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


def test_what_to_know_before_quoting_stands_beside_what_is_printed_and_in_json(ask, runs):
    flagged = "3 of 216 samples were taken while the card was held back"
    for words in (["frontier", runs[4]], ["budget", runs[4], "--ttft-ms", 12]):
        said = ask(*words)[1]
        assert flagged in said
        assert WHAT in said
        assert flagged not in ask(words[0], runs[1], *words[2:])[1]
    code, said, beside = ask("frontier", runs[4], "--json")
    assert (code, len(json.loads(said))) == (0, 36)
    assert flagged in beside
    assert WHAT in beside
    first, second = json.loads(ask("budget", runs[4], "--ttft-ms", 12, "--json")[1])["notes"]
    assert (first, second.startswith(flagged)) == (WHAT, True)
    code, said, beside = ask("budget", runs[4], "--total-ms", 12, "--lookup")
    assert isinstance(json.loads(said), list)
    assert flagged in beside


def test_a_latency_model_that_is_taken_away_says_of_what_it_is(ask, runs, tmp_path):
    said = json.loads(ask("latency-model", runs[4], "--json", "--python", tmp_path / "small.py")[1])
    assert said["notes"] == [WHAT]
    assert WHAT in (tmp_path / "small.py").read_text().split('"""')[1]
    assert json.loads(ask("latency-model", runs[1], "--json")[1])["notes"] == []


def test_a_latency_model_is_printed_written_and_recalibrated(ask, runs, tmp_path):
    code, said, _ = ask("latency-model", runs[1], "--python", tmp_path / "model.py")
    assert code == 0
    assert "Vision = " in said
    assert "def predict(" in (tmp_path / "model.py").read_text()
    document = json.loads(ask("latency-model", runs[1], "--recalibrate", runs[2], "--json")[1])
    assert document["conditions"]["engine"] == "graph"
    assert "measured under different conditions (engine" in ask("latency-model", runs[1], runs[2])[2]
