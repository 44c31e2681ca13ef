"""Commands that read and change what the database holds, also while another process holds it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from profcore.cli.parser import main
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage.spool import SpoolWriter, spool_path
from profcore.storage.store import Store
from tests.comparisons.stored import pictures_sweep, store_run
from tests.storage.test_store import a_sample
from tests.support import ROOT, seconds, small_sweep


@pytest.fixture
def database(tmp_path, monkeypatch):
    """A database with two done runs whose ids differ in their last letter."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "data" / "profcore.duckdb"
    monkeypatch.setenv("PROFCORE_DB", str(path))
    with Store(path) as store:
        for run_id, slower in (("20260101-000000-aaaaaaa1", 0.0), ("20260101-000000-aaaaaaa2", 30.0)):
            spec = RunSpec(run_id, "2026-01-01T00:00:00+00:00", Target(), small_sweep(num_samples=8))
            with SpoolWriter(spool_path(store.spools, run_id)) as writer:
                writer.run(spec)
                for number in range(16):
                    writer.sample(a_sample(number, setting=number % 2, total=100.0 + slower + number / 100))
                writer.state(State.DONE)
        store.take_in_all()
    return path


@pytest.fixture
def call(capsys):
    def run(*words):
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        return left.value.code, captured.out, captured.err

    return run


FIRST, SECOND = "20260101-000000-aaaaaaa1", "20260101-000000-aaaaaaa2"


def test_a_run_is_named_by_a_beginning_that_is_its_alone(database, call):
    code, out, _ = call("show", FIRST, "--json")
    assert code == 0
    shown = json.loads(out)
    assert (shown["run"]["id"], shown["num_samples"]) == (FIRST, 16)
    assert {row["metric"] for row in shown["summary"]} >= {"total_ms", "ttft_ms"}
    code, _, error = call("show", "20260101")
    assert code == 2
    assert FIRST in error and SECOND in error
    for text in ("nothing", "", "x" * 5000):
        code, _, error = call("show", text)
        assert code == 2
        assert "There is no run" in error
    code, out, _ = call("show", FIRST)
    assert code == 0
    assert "top-k 1" in out


def test_two_runs_are_compared_setting_by_setting(database, call):
    code, out, _ = call("compare", FIRST, SECOND, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["reference"] == FIRST
    (total,) = [row for row in found["runs"][SECOND]["stages"] if row["metric"] == "total_ms"]
    assert total["ratio"] == pytest.approx(1.3, abs=0.01)
    assert total["verdict"] == "slower"
    settings = [row for row in found["runs"][SECOND]["settings"] if row["metric"] == "total_ms"]
    assert [row["title"] for row in settings] == ["top-k 1", "top-k 2"]
    assert call("compare", FIRST, SECOND)[0] == 0
    code, _, error = call("compare", FIRST)
    assert (code, "needs two runs" in error) == (2, True)
    assert call("compare", FIRST, SECOND, "--margin", "many")[0] == 2


def test_a_sweep_is_set_beside_pictures(database, call):
    runs = json.loads(call("runs", "--json")[1])
    assert call("beside", FIRST, SECOND)[0] == 2
    with Store(database) as store:
        store.take_in_shipped()
        runs = store.runs()
    kinds = runs.set_index("id")["experiment"]
    sweep = next(run_id for run_id, kind in kinds.items() if kind == "context_scaling")
    pictures = next(run_id for run_id, kind in kinds.items() if kind == "latency_distribution")
    code, out, _ = call("beside", sweep, pictures, "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["sweep"], found["pictures"]) == (sweep, [pictures])
    assert found["sentences"][pictures]
    assert call("beside", sweep, pictures)[0] == 0
    code, _, error = call("beside", pictures, sweep)
    assert (code, "is of real pictures" in error) == (2, True)


def test_pictures_under_other_knobs_are_refused_in_words_beside_a_sweep(database, call):
    with Store(database) as store:
        sweep = store_run(store, small_sweep("output_tokens", (2, 4), num_samples=6), lambda setting: 10.0)
        pictures = store_run(
            store, pictures_sweep("language_tokens_vs_latency", output_tokens=(2, 4)), lambda setting: 40.0
        )
    code, out, _ = call("beside", sweep, pictures)
    assert code == 0
    says = "not compared, since they ran under other knobs (blocks: the first 2 of 16 in the sweep, all 16 in the"
    assert says in out
    assert "slower" not in out
    code, out, _ = call("beside", sweep, pictures, "--json")
    found = json.loads(out)
    assert says in found["refused"][pictures][0]
    assert found["ratios"] == []


@pytest.mark.long
def test_a_run_is_exported_into_a_folder_of_its_own(database, call):
    code, out, _ = call("export", FIRST, "--output-dir", "out")
    assert code == 0
    assert {Path(line).parts[:2] for line in out.split()} == {("out", FIRST)}
    assert Path("out", FIRST, "samples.parquet").exists()
    assert Path("out", FIRST, "moe_topk", "exp2_moe_topk_results.json").exists()


def test_a_run_is_renamed_and_deleted(database, call):
    assert call("rename", FIRST, " mine ")[0] == 0
    code, out, _ = call("show", FIRST, "--json")
    assert json.loads(out)["run"]["name"] == "mine"
    assert call("rename", FIRST, "x" * 121)[0] == 2
    code, _, error = call("delete", FIRST)
    assert code == 2
    assert "--yes" in error
    assert call("delete", FIRST, "--yes")[0] == 0
    assert call("show", FIRST)[0] == 2
    assert not (database.with_name(f"{database.name}.spool") / f"{FIRST}.jsonl").exists()


def test_a_run_is_marked_and_an_archived_one_is_listed_only_when_asked_for(database, call):
    code, out, _ = call("mark", FIRST, "--star", "--archive", "--tag", "warm", "a b", "--note", "mine")
    assert (code, out.splitlines()) == (0, [f"{FIRST}: starred, archived, tags: warm, a b", "mine"])
    assert call("mark", FIRST, "--untag", "warm", "--no-star")[1].splitlines()[0] == f"{FIRST}: archived, tags: a b"
    code, out, error = call("runs", "--json")
    assert FIRST not in {row["id"] for row in json.loads(out)}
    assert "1 archived not listed" in error
    (row,) = [row for row in json.loads(call("runs", "--json", "--archived")[1]) if row["id"] == FIRST]
    assert (row["tags"], row["note"], row["starred"], row["archived"]) == (["a b"], "mine", False, True)
    assert call("mark", FIRST, "--tag", "x" * 41)[0] == 2


def test_empty_runs_are_deleted_together(database, call):
    spec = RunSpec.new(Target(), small_sweep())
    with SpoolWriter(spool_path(database.with_name(f"{database.name}.spool"), spec.id)) as writer:
        writer.run(spec)
        writer.state(State.FAILED, "no reason")
    code, _, error = call("delete", "--empty")
    assert code == 2
    assert "1 empty run" in error
    assert call("delete", "--empty", "--yes")[:2] == (0, f"{spec.id} is deleted.\n")
    assert call("delete", "--empty")[:2] == (0, "No run is empty.\n")
    assert call("show", FIRST)[0] == 0


def test_reading_works_while_another_process_holds_the_database_and_changing_does_not(database, call):
    code = (
        "import sys\nfrom pathlib import Path\nfrom profcore.storage.store import Store\n"
        "with Store(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(database)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        status, out, _ = call("runs", "--json")
        assert status == 0
        assert {FIRST, SECOND} <= {row["id"] for row in json.loads(out)}
        assert call("show", FIRST)[0] == 0
        assert FIRST in call("sql", "SELECT id FROM runs", "--csv")[1]
        for words in (("rename", FIRST, "a"), ("mark", FIRST, "--star"), ("delete", FIRST, "--yes")):
            status, _, error = call(*words)
            assert status == 2
            assert "held by another process" in error
        holder.stdin.close()
        holder.wait(seconds(60))
    assert call("delete", FIRST, "--yes")[0] == 0


def test_without_a_database_there_is_nothing_to_read(tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    for words in (("runs",), ("show", "a"), ("export", "a"), ("rename", "a", "b"), ("delete", "a", "--yes")):
        code, _, error = call(*words, "--db", "none/here.duckdb")
        assert code == 2
        assert "There is no database" in error
    assert not Path("none").exists()


def test_a_query_is_answered_as_json_csv_and_table(database, call):
    query = (
        "SELECT id, 0.1 + 0.2 AS a, max(total_ms) AS ms FROM runs JOIN samples ON run_id = id GROUP BY id ORDER BY id"
    )
    code, out, _ = call("sql", query, "--json")
    assert code == 0
    assert json.loads(out) == [{"id": FIRST, "a": 0.3, "ms": 100.15}, {"id": SECOND, "a": 0.3, "ms": 130.15}]
    code, out, _ = call("sql", query, "--csv")
    assert (code, out.splitlines()[1]) == (0, f"{FIRST},0.3,100.15")
    code, out, _ = call("sql", "SELECT count(*) AS number FROM samples")
    assert code == 0
    assert "32" in out
    for text, says in (("DROP TABLE runs", "Only a SELECT"), ("SELECT nothing FROM runs", "nothing"), ("", "empty")):
        code, _, error = call("sql", text)
        assert (code, says in error, len(error.splitlines())) == (2, True, 1)
    code, out, error = call("sql", "SELECT * FROM range(20000)", "--csv")
    assert (code, len(out.splitlines())) == (0, 10_001)
    assert "Only the first 10,000 rows" in error


def test_show_says_why_a_run_is_not_done(database, call):
    with Store(database) as store:
        spec = RunSpec("20260102-000000-aaaaaaa3", "2026-01-02T00:00:00+00:00", Target(), small_sweep(num_samples=8))
        with SpoolWriter(spool_path(store.spools, spec.id)) as writer:
            writer.run(spec)
            writer.sample(a_sample(0, setting=0, total=100.0))
            writer.state(State.STOPPED, "Stopped on request.")
        store.take_in_all()
    assert call("show", spec.id)[1].splitlines()[1] == "Stopped on request."
    assert "Stopped" not in call("show", FIRST)[1]
