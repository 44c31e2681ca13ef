"""`run joint`: what it measures, writes, resumes and refuses, and that its files are a run again."""

import json
from pathlib import Path

import pytest

from profcore.cli import parser
from profcore.results.joint import load_joint
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage import spool
from profcore.storage.store import Store, spool_directory
from profcore.worker import execute
from profcore.worker import shelf as shelves
from tests.results.stored_joint import made_up_sweep
from tests.support import CEILINGS

FAST = ["--device", "cpu", "--num-samples", 1, "--warmup", 0]


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


def only_run(tmp_path):
    """The one run of the database, as a page shows it."""
    with Store(tmp_path / "profcore.duckdb") as store:
        (run_id,) = store.runs()["id"]
        return load_joint(store, run_id)


def test_it_measures_every_combination_with_quality_in_the_settings_own_grid(run, tmp_path):
    knobs = ["--grids", "1x2", 1, "--top-k-values", 1, "--num-active-blocks", 1, "--max-new-tokens", 1, 2]
    code, out, _ = run("run", "joint", *knobs, *FAST, "--quality", "--num-pictures", 1, "--output-dir", "out")
    assert code == 0, out
    result = only_run(tmp_path)
    assert f"4 samples, done, in 5 files of out/joint/{result.run['id']}" in out
    assert result.points["grid"].tolist() == ["1×1"] * 2 + ["1×2"] * 2
    assert result.points["quality_queries"].tolist() == [1] * 4
    # Settings that differ in the length of their answers alone have one divergence; those of another grid another.
    kl = result.points["kl"].tolist()
    assert kl[0] == kl[1] != kl[2] == kl[3]
    code, out, _ = run("import", "out", "--db", "other.duckdb")
    assert code == 0
    assert "was here before" not in out
    code, out, _ = run("show", result.run["id"])
    assert "top-1" in out.replace("\n", "")


@pytest.mark.long
def test_tiers_have_each_picture_take_its_own_tiling(run, tmp_path):
    words = ["--tiers", "low", "medium", "--top-k-values", 1, 2, "--num-active-blocks", 1, "--max-new-tokens", 1]
    code, out, _ = run("run", "joint", *words, *FAST, "--num-pictures", 2, "--quality")
    assert code == 0, out
    result = only_run(tmp_path)
    assert result.points["samples"].tolist() == [2] * 4
    assert result.points["quality_queries"].tolist() == [2] * 4
    crops = result.samples.groupby("point")["num_crops"].agg(["min", "max"])
    assert (crops["max"][:2] <= 4).all()
    assert (crops["min"][2:] >= 5).all()


def test_a_joint_run_goes_on_a_setting_at_a_time(run, tmp_path):
    sweep = made_up_sweep(((1, 1),), (1, 2), (1, 2), output_tokens=(1,), num_samples=1, warmup=0)
    spec = RunSpec.new(Target(), sweep)
    with spool.SpoolWriter(spool.spool_path(spool_directory(tmp_path / "profcore.duckdb"), spec.id)) as writer:
        writer.run(spec)
        writer.state(State.STOPPED)
    code, out, _ = run("run", "--resume", spec.id, "--output-dir", "out")
    assert code == 0, out
    assert only_run(tmp_path).points["samples"].tolist() == [1] * 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["joint", "--top-k-values", 1, 2], "turns two knobs or more, but top-k alone varies"),
        (["joint"], "but none varies"),
        (["joint", "--strategy", "sobol"], "no --strategy 'sobol': choose from full"),
        (["joint", "--grids", "4x4"], "out of range"),
        (["joint", "--grids", "cat"], "is no image grid"),
        (["joint", "--top-k-values", 1, 2, "--max-new-tokens", 1, 2, "--settings", 3], "full says itself how many"),
        (["joint", "--tiers", "low", "--grids", 1], "--tiers stands in place of --grids"),
        (["joint", "--top-k-values", 1, 2, "--num-active-blocks", 1, 2, "--masks", "importance"], "need scores"),
        (["joint", "--top-k-values", 1, 999, "--max-new-tokens", 1, 2], "Top-k 999 is above"),
        (["moe_topk", "--strategy", "lhs"], "--strategy is of joint sweeps alone"),
        (["moe_topk", "--tiers", "low"], "--tiers is of joint sweeps alone"),
        (["output_tokens", "--stop-at-eos"], "--stop-at-eos is of real pictures"),
    ],
)
def test_what_is_no_joint_sweep_is_refused_before_anything_is_written(run, tmp_path, words, said):
    code, _, error = run("run", *words, *FAST)
    assert (code, list(tmp_path.glob("**/*.jsonl"))) == (2, [])
    assert said in error


def test_grids_of_a_knobs_own_sweep_are_written_in_either_way(run):
    words = ["--grids", 1, "1x2", "--block-mask", "1" + "0" * 15, "--output-dir", "out"]
    assert run("run", "context_scaling", *words, *FAST)[0] == 0
    text = next(iter(Path("out").rglob("*.json"))).read_text()
    assert [entry["grid"] for entry in json.loads(text)["summary"]] == ["1×1", "1×2"]
