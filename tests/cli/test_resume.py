"""`run --resume`: what it goes on with, and what it refuses before anything is loaded or written."""

import json

import pytest

from profcore.cli import parser
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage import spool
from profcore.storage.store import spool_directory
from profcore.worker import execute
from profcore.worker import shelf as shelves
from tests.support import CEILINGS, small_sweep


@pytest.fixture
def run(capsys, tmp_path, monkeypatch, shelf):
    """The command line in this process, in an empty folder, with the model kept between calls."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROFCORE_DB", str(tmp_path / "profcore.duckdb"))
    monkeypatch.setattr(shelves, "ModelShelf", lambda: shelf)
    monkeypatch.setattr(execute, "device_ceilings", lambda *given: CEILINGS)

    def call(*words):
        with pytest.raises(SystemExit) as left:
            parser.main([str(word) for word in words])
        captured = capsys.readouterr()
        return left.value.code, captured.out, captured.err

    return call


@pytest.fixture
def spools(tmp_path):
    return spool_directory(tmp_path / "profcore.duckdb")


def begun(folder, *states, **environment):
    """A run that has no sample yet, and ended as is said."""
    spec = RunSpec.new(Target(), small_sweep("output_tokens", (1, 2), num_samples=1))
    path = spool.spool_path(folder, spec.id)
    with spool.SpoolWriter(path) as writer:
        writer.run(spec)
        if environment:
            writer.write({"type": "environment", **environment})
        for state in states:
            writer.state(state)
    return spec.id, path


def test_a_run_goes_on_by_a_beginning_of_its_id_and_is_reported_as_a_whole(run, spools, tmp_path):
    run_id, _ = begun(spools, State.RUNNING)
    code, out, _ = run("run", "--resume", run_id[:-2], "--output-dir", "out")
    assert code == 0
    assert "output_tokens: 2 samples, done" in out
    document = json.loads(next((tmp_path / "out").rglob("*.json")).read_text())
    assert len(document["all_samples"]) == 2
    stored = json.loads(run("runs", "--json")[1])
    assert [(row["state"], row["num_samples"]) for row in stored] == [("done", 2)]
    code, _, said = run("run", "--resume", run_id)
    assert (code, "is done: it has every sample" in said) == (2, True)


def test_a_spool_without_a_database_goes_on_too(run, tmp_path):
    run_id, path = begun(tmp_path / "out", State.STOPPED)
    code, out, _ = run("run", "--resume", run_id, "--spool-only", "out", "--output-dir", "results")
    assert (code, spool.last_state(path)) == (0, State.DONE)
    assert f"Spool: out/{run_id}.jsonl" in out


def test_what_cannot_go_on_is_said_and_nothing_is_written(run, spools, tmp_path):
    run_id, path = begun(spools, State.FAILED, torch="0.1", device_name="another")
    before = path.read_bytes()
    for words, says in (
        (["--resume", run_id], "since what it was measured on differs: device name (another then"),
        (["--resume", run_id, "--device", "cuda:7"], "cuda:7"),
        (["--resume", "nowhere"], "There is no run 'nowhere'"),
        (["--resume", "nowhere", "--spool-only", "out"], "there is no spool"),
        (["moe_topk", "--resume", run_id], "either an experiment or --resume"),
        ([], "Name what to measure: one of context_scaling"),
    ):
        code, out, said = run("run", *words)
        assert (code, out) == (2, "")
        assert says in said
    for held in (spool.RunHold, spool.SpoolWriter):
        with held(path):
            code, _, said = run("run", "--resume", run_id)
            assert (code, "is being measured by another process" in said) == (2, True)
    assert path.read_bytes() == before
