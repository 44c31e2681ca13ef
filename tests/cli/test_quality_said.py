"""What the command line says of quality and of the small trained model, after a run and whenever it is shown."""

import json
import shutil

import pytest

from profcore.cli import parser
from profcore.models.config import checkpoint_path
from profcore.models.shapes.shape import WHAT
from profcore.worker import execute
from tests.support import CEILINGS

FAST = ["--device", "cpu", "--num-samples", 1, "--warmup", 0, "--output-dir", "out", "--max-new-tokens", 1]
DRAWN = ["--quality", "--data-set", "shapes", "--num-pictures", 2, "--model", "shapes"]


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """The command line in this process, in an empty folder; gives what it printed, on lines of any length."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROFCORE_DB", str(tmp_path / "profcore.duckdb"))
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(execute, "device_ceilings", lambda *given: CEILINGS)

    def call(*words):
        with pytest.raises(SystemExit) as left:
            parser.main([str(word) for word in words])
        captured = capsys.readouterr()
        assert left.value.code == 0, captured.err
        return captured.out

    return call


def only_run(tmp_path):
    (path,) = (tmp_path / "profcore.duckdb.spool").glob("*.jsonl")
    return path.stem


@pytest.mark.long
def test_a_run_of_one_knob_prints_its_accuracy_and_what_the_small_model_is(run, tmp_path):
    said = run("run", "moe_topk", "--top-k-values", 1, 8, *FAST, *DRAWN)
    for text in (said, run("show", only_run(tmp_path))):
        # A head may stand on several lines.
        assert {"KL", "(nats)"} <= set(text.split())
        assert {"VQA", "accuracy"} <= set(text.split())
        assert "mean over 2 questions" in text
        assert text.count(WHAT) == 1


@pytest.mark.long
def test_a_joint_run_says_over_how_many_questions_its_accuracy_is(run, tmp_path):
    said = run("run", "joint", "--tiers", "low", "medium", "--top-k-values", 1, 8, *FAST, *DRAWN)
    for text in (said, run("show", only_run(tmp_path))):
        assert "Accuracy as VQA v2 defines it, mean over 2 questions, each picture in the setting's own crops." in text
        assert text.count(WHAT) == 1


def test_without_answers_and_with_random_weights_that_is_said(run):
    words = ["--top-k-values", 1, 8, *FAST, "--quality", "--num-pictures", 1, "--model", "tiny"]
    said = run("run", "moe_topk", *words)
    assert "mean over 1 question;" in said
    assert "The weights are random, so quality means nothing here" in said
    assert WHAT not in said


def test_the_small_model_is_asked_of_its_own_pictures_unless_told_otherwise(run, tmp_path):
    run("run", "moe_topk", "--top-k-values", 8, *FAST, "--quality", "--num-pictures", 2, "--model", "shapes")
    (run_line, *_) = (tmp_path / "profcore.duckdb.spool" / f"{only_run(tmp_path)}.jsonl").read_text().splitlines()
    pictures = {query["picture"]["kind"] for query in json.loads(run_line)["sweep"]["quality"]["queries"]}
    assert pictures == {"shapes"}


def test_a_checkpoint_whose_words_are_not_known_gets_no_accuracy(run, tmp_path):
    mute = tmp_path / "mute"
    shutil.copytree(checkpoint_path("shapes"), mute, ignore=shutil.ignore_patterns("tokenizer.json"))
    words = ["--quality", "--data-set", "shapes", "--num-pictures", 1, "--model", mute]
    said = run("run", "moe_topk", "--top-k-values", 8, *FAST, *words)
    assert "No quality could be found of 1 of 1 setting: The checkpoint has no tokenizer.json" in said
