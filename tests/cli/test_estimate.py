"""The command `estimate`: a picture's size, its tokens and its milliseconds."""

import json

import pytest

from profcore.cli.parser import main
from profcore.errors import ModelError
from profcore.experiments.knobs import CATALOGUE, base_setting, build_settings
from profcore.models.config import model_shape
from profcore.spec.runs import Sweep
from profcore.storage.store import Store
from tests.comparisons.stored import store_run
from tests.support import small_sweep


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """A database with a sweep of vision tokens by a model of two blocks, under a name that the catalogue has."""
    path = tmp_path_factory.mktemp("sizes") / "p.duckdb"
    with Store(path) as store:
        store_run(store, small_sweep("context_scaling", (1, 2, 3, 4), 5), lambda setting: 5.0)
    return path


@pytest.fixture
def ask(capsys):
    def asked(*words):
        with pytest.raises(SystemExit) as ended:
            main(["estimate", *map(str, words)])
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return asked


@pytest.mark.long
def test_without_a_database_the_sample_results_answer(ask, tmp_path, monkeypatch):
    monkeypatch.setenv("PROFCORE_DB", str(tmp_path / "none.duckdb"))
    code, said, _ = ask("--width", 1024, "--height", 768, "--json")
    found = json.loads(said)
    assert (code, found["layout"]["tokens"], found["layout"]["views"]) == (0, 1152, 13)
    assert {each["engine"] for each in found["estimates"]} == {"eager", "graph", "compiled"}
    assert all(each["low_ms"] < each["ttft_ms"] < each["high_ms"] for each in found["estimates"])
    assert {each["source"] for each in found["estimates"]} == {"shipped"}
    assert not (tmp_path / "none.duckdb").exists()
    code, said, _ = ask("--width", 1024, "--height", 768)
    assert code == 0
    assert "1,152 vision tokens to molmoe-1b" in said
    assert "on NVIDIA H200 under compiled" in said


@pytest.mark.parametrize(
    ("model", "tokens"), [("qwen3-vl-4b", 2040), ("glm-4.5v", 2691), ("llava-1.5-7b", 576), ("gemma-3-4b", 256)]
)
def test_a_model_that_was_never_measured_is_told_how(ask, database, model, tokens):
    code, said, _ = ask("--model", model, "--width", 1920, "--height", 1080, "--db", database)
    assert code == 0
    assert f"{tokens:,} vision tokens to {model}" in said
    assert f"--model {model}" in said
    code, said, _ = ask("--model", model, "--width", 1920, "--height", 1080, "--db", database, "--json")
    found = json.loads(said)
    assert (found["layout"]["tokens"], found["estimates"]) == (tokens, [])
    assert "Not measured yet" in found["missing"]


def test_beside_a_database_that_has_none_of_them_the_sample_results_answer_too(ask, database):
    code, said, _ = ask("--model", "smolvlm-2b", "--width", 1920, "--height", 1080, "--db", database, "--json")
    found = json.loads(said)
    assert (code, {each["source"] for each in found["estimates"]}) == (0, {"shipped"})
    assert all(line.startswith("Run ") for line in found["cautions"])
    # Whoever removed one does not get it back.
    with Store(database) as store:
        store.take_in_shipped()
        for each in found["estimates"]:
            store.remove(each["run_id"])
    said = ask("--model", "smolvlm-2b", "--width", 1920, "--height", 1080, "--db", database, "--json")[1]
    gone = {each["run_id"] for each in found["estimates"]}
    assert not gone & {each["run_id"] for each in json.loads(said)["estimates"]}


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("--width", "0", "--height", "10"), "0"),
        (("--width", "ten", "--height", "10"), "ten"),
        (("--width", "10000", "--height", "10", "--model", "qwen3-vl-8b"), "too narrow"),
        (("--width", "10", "--height", "10", "--model", "nothing-of-that-name"), "There is no model"),
        (("--width", "10"), "--height"),
    ],
)
def test_what_is_wrong_ends_with_status_2(ask, words, wrong):
    code, said, error = ask(*words)
    assert (code, said) == (2, "")
    assert wrong in error


def test_a_database_that_is_not_there_is_said(ask, tmp_path):
    code, _, error = ask("--width", 640, "--height", 480, "--db", tmp_path / "none.duckdb")
    assert code == 2
    assert "There is no database" in error


def test_a_hub_name_that_was_never_fetched_is_not_taken_for_molmoe(ask, monkeypatch):
    def none(model):
        raise ModelError(f"{model} could not be fetched.")

    monkeypatch.setattr("profcore.cli.common.fetch_config", none)
    for name in ("someone/their-model", "allenai/Molmo2-8B"):
        code, said, error = ask("--model", name, "--width", 336, "--height", 336)
        assert (code, said, error) == (2, "", f"profcore: {name} could not be fetched.\n")


def test_what_to_know_before_quoting_is_said_with_the_figure(ask, tmp_path):
    path, experiment, config = tmp_path / "p.duckdb", CATALOGUE["context_scaling"], model_shape("tiny")
    settings = build_settings(experiment, (1, 2, 3), base_setting(experiment, config))
    with Store(path) as store:
        run_id = store_run(store, Sweep(experiment.name, settings, num_samples=5), lambda setting: 5.0, held_back=(1,))
    asked, line = ("--width", 336, "--height", 336, "--model", "tiny", "--db", path), f"Run {run_id}: 1 of 15 samples"
    code, said, _ = ask(*asked)
    assert code == 0
    assert said.splitlines()[-1] == f"{line} held back."
    assert json.loads(ask(*asked, "--json")[1])["cautions"] == [f"{line} held back."]
