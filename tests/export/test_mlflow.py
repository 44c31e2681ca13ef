"""A run in MLflow, in a database of its own: what it says there is what was measured."""

import json
import urllib.parse
from pathlib import Path

import pytest

from profcore.cli.parser import main
from profcore.export.archive import load_run
from profcore.export.mlflow_run import metrics_of, parameters_of
from profcore.storage.store import Store
from tests.comparisons.stored import store_run
from tests.support import small_sweep

SWEEP = small_sweep(num_samples=7)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "data.duckdb"
    with Store(path) as store:
        run_id = store_run(store, SWEEP, lambda setting: 10.0 * setting.top_k)
        store.mark(run_id, note="a note", tags=["nightly"])
    return path, run_id


@pytest.fixture
def ask(stored, capsys, monkeypatch, tmp_path):
    """Runs a command over the database; gives its status and what it printed."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    # Where MLflow leaves files unless told otherwise.
    monkeypatch.chdir(tmp_path)

    def asked(*words):
        with pytest.raises(SystemExit) as ended:
            main([*words, "--db", str(stored[0])])
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return asked


def test_figures_have_their_settings_number_and_conditions_their_words(stored):
    with Store(stored[0]) as store:
        result = load_run(store, stored[1])
    found = {(name, step): value for name, value, step in metrics_of(result)}
    assert found["llm_prefill_ms/median", 1] == pytest.approx(20.0)
    assert found["llm_prefill_ms/low", 0] <= 10.0 <= found["llm_prefill_ms/high", 0]
    assert found["total_ms/n", 0] == 7
    # Seven samples support no percentile of the tail.
    assert ("total_ms/p95", 0) not in found
    parameters = parameters_of(result)
    assert (parameters["setting 1"], parameters["torch"], parameters["GPU"]) == ("top-k 2", "2.11", "a card")
    assert parameters["image grid"] == "1×1"


def test_what_is_wrong_is_said(ask, stored):
    assert "--tracking-uri http://HOST:PORT" in ask("export", stored[1], "--to", "mlflow")[2]
    code, said, wrong = ask("export", stored[1], "--tracking-uri", "sqlite:///x.db")
    assert (code, said) == (2, "")
    assert "are of --to mlflow" in wrong
    assert ask("export", stored[1], "--to", "nothing")[0] == 2


def test_a_run_is_written_once_with_all_it_has(ask, stored, tmp_path):
    pytest.importorskip("mlflow", reason="MLflow is not installed here")
    pytest.importorskip("sqlalchemy", reason="what MLflow keeps a database with is not installed here")
    from mlflow.tracking import MlflowClient

    where = f"sqlite:///{tmp_path}/mlflow.db"
    code, said, wrong = ask("export", stored[1], "--to", "mlflow", "--tracking-uri", where)
    assert code == 0, wrong
    client = MlflowClient(tracking_uri=where)
    run = client.get_run(said.split()[2])
    assert said == f"{stored[1]} is {run.info.run_id} in MLflow.\n"
    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == "profcore/moe_topk"
    assert run.data.tags["profcore.run"] == stored[1]
    assert run.data.tags["mlflow.note.content"] == "a note"
    assert run.data.params["setting 0"] == "top-k 1"
    history = client.get_metric_history(run.info.run_id, "llm_prefill_ms/median")
    assert {each.step: each.value for each in history} == pytest.approx({0: 10.0, 1: 20.0})
    artefacts = Path(urllib.parse.urlparse(run.info.artifact_uri).path)
    names = {path.name for path in artefacts.rglob("*") if path.is_file()}
    assert {".json", ".csv", ".parquet", ".png"} <= {Path(name).suffix for name in names}
    (result,) = artefacts.rglob("*_results.json")
    assert json.loads(result.read_text())["metadata"]["run"]["id"] == stored[1]
    # Once more it is refused, and by another name it is not.
    code, said, wrong = ask("export", stored[1], "--to", "mlflow", "--tracking-uri", where)
    assert (code, said) == (2, "")
    assert f"already, as {run.info.run_id}" in wrong
    again = ["--tracking-uri", where, "--mlflow-experiment", 'nightly\'s "own"']
    assert ask("export", stored[1], "--to", "mlflow", *again)[0] == 0


def test_who_does_not_answer_is_named_without_a_password(ask, stored):
    pytest.importorskip("mlflow", reason="MLflow is not installed here")
    code, said, wrong = ask("export", stored[1], "--to", "mlflow", "--tracking-uri", "http://me:secret@127.0.0.1:9")
    assert (code, said) == (2, "")
    assert "MLflow at http://127.0.0.1:9 does not take the run" in wrong
    assert "secret" not in wrong.partition("does not take the run")[0]


def test_what_keeps_every_run_out_is_said_once(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with Store(tmp_path / "two.duckdb") as store:
        for hour in (1, 2):
            store_run(store, SWEEP, lambda setting: 10.0, hour=hour)
    with pytest.raises(SystemExit) as ended:
        main(["export", "--all", "--to", "mlflow", "--db", str(tmp_path / "two.duckdb")])
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert len(said.err.splitlines()) == 1
