"""What `bench` says while it measures, and what is left of it where it is stopped."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from profcore.bench import names, report, suite
from profcore.bench.base import Figure, at_most
from profcore.cli.parser import main
from profcore.spec.runs import Target
from profcore.worker.shelf import ModelShelf


@pytest.fixture
def three(monkeypatch):
    """Three benchmarks in the place of all: one measures, the next is of something not installed, and one follows."""
    seen = []

    def missing(target, shelf):
        raise ImportError(name="playwright")

    def last(target, shelf):
        seen.append("last")
        return [Figure("figure", 2.0, "s", "drawn", at_most(1))]

    benchmarks = {"load": lambda *_: [Figure("load", 1.5, "s", "made", at_most(20))], "rerun": missing, "figure": last}
    monkeypatch.setattr(report, "BENCHMARKS", benchmarks)
    return benchmarks


def test_every_benchmark_has_a_few_words_in_the_order_of_measuring():
    assert list(names.BENCHMARKS) == list(report.BENCHMARKS)
    assert all(names.BENCHMARKS.values())


def test_help_lists_what_only_takes(capsys):
    with pytest.raises(SystemExit):
        main(["bench", "--help"])
    said = capsys.readouterr().out
    for name, text in names.BENCHMARKS.items():
        assert f"  {name} " in said
        assert text in said


def test_each_figure_is_printed_before_the_next_is_measured(three, capsys, monkeypatch):
    after = []
    three["rerun"] = lambda *_: after.append(capsys.readouterr()) or []
    assert report.run_benchmarks(Target(), ["load", "rerun", "figure"], as_json=False) == 0
    (found,) = after
    assert [line.split()[0] for line in found.out.splitlines()] == ["benchmark", "load"]
    assert found.err.splitlines() == [
        "Measuring load, 1 of 3: how long the model takes to be ready …",
        "Measuring rerun, 2 of 3: a page drawn again since a slider moved …",
    ]
    rest = capsys.readouterr().out.splitlines()
    assert rest[0].startswith("figure ")
    assert rest[1] == "1 of 2 miss their must: figure."
    assert "tiny (random weights" in rest[2]


def test_what_is_not_installed_is_said_beside_the_document(three, capsys):
    assert report.run_benchmarks(Target(), None, as_json=True) == 0
    said = capsys.readouterr()
    assert [each["benchmark"] for each in json.loads(said.out)["figures"]] == ["load", "figure"]
    assert "rerun: not run, playwright is not installed here." in said.err


@pytest.mark.parametrize("as_json", [False, True])
def test_what_was_measured_is_there_when_ctrl_c_ends_it(three, as_json, capsys, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    three["rerun"] = stopped
    monkeypatch.setattr(ModelShelf, "get", lambda *_: pytest.fail("a model was loaded for nothing"))
    assert report.run_benchmarks(Target(), None, as_json) == 130
    said = capsys.readouterr()
    assert "Stopped in rerun" in said.err
    if as_json:
        found = json.loads(said.out)
        assert found["environment"] is None
        assert [each["benchmark"] for each in found["figures"]] == ["load"]
    else:
        assert [line.split()[0] for line in said.out.splitlines()] == ["benchmark", "load", "Every"]


def test_the_suite_runs_in_a_process_with_nothing_cached(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    given, cleared = {}, []

    def run(command, **more):
        given.update(more["env"])
        folder = Path(given["XDG_CACHE_HOME"])
        assert not list(folder.iterdir())
        assert Target(**json.loads(command[-2])) == Target("tiny", engine="compiled")
        return SimpleNamespace(returncode=0, stdout='a warning\n{"seconds": 90.0, "inferences": 3200}\n')

    monkeypatch.setattr(suite.subprocess, "run", run)
    shelf = SimpleNamespace(clear=lambda: cleared.append(True))
    (figure,) = suite.suite(Target("tiny", engine="compiled"), shelf)
    assert cleared
    assert (figure.value, figure.unit) == (1.5, "min")
    assert figure.how == "3200 inferences of all four experiments, in a process of its own, nothing cached on disk"
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH"):
        assert Path(given[name]).is_relative_to(given["XDG_CACHE_HOME"])
    assert not Path(given["HF_HOME"]).is_relative_to(given["XDG_CACHE_HOME"])
    assert not Path(given["XDG_CACHE_HOME"]).exists()


def test_a_suite_that_ends_early_costs_no_other_figure(monkeypatch, capsys):
    ended = subprocess.CompletedProcess([], 2, stdout="")
    monkeypatch.setattr(suite.subprocess, "run", lambda *_, **__: ended)
    assert suite.suite(Target(), ModelShelf()) == []
    assert "suite: not run (its own process ended with 2)" in capsys.readouterr().err
    assert suite.main([json.dumps(Target("nothing-here").to_dict()), "1"]) == 2


@pytest.mark.long
def test_the_suite_is_measured(monkeypatch):
    monkeypatch.setattr(suite, "_SAMPLES", 1)
    (figure,) = suite.suite(Target(), ModelShelf())
    assert figure.value > 0
    assert int(figure.how.split()[0]) > 40


def test_a_cleared_shelf_has_no_model():
    shelf = ModelShelf()
    shelf.get(Target())
    assert shelf.has_one
    shelf.clear()
    assert not shelf.has_one
