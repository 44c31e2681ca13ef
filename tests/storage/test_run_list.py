"""The list of all runs: conditions as the environment says them, else as the spec does, whatever those texts hold."""

import json

import pytest

from profcore.results.base import run_titles, tell_apart
from profcore.spec.runs import RunSpec, Target
from profcore.storage.spool import SpoolWriter, spool_path
from profcore.storage.store import Store
from tests.comparisons.stored import import_file, published_topk, store_run
from tests.support import small_sweep


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "data.duckdb") as opened:
        yield opened


def _listed(store, run_id):
    runs = store.run_list()
    return runs.assign(title=run_titles(runs)).set_index("id").loc[run_id]


def test_a_run_is_listed_with_what_it_was_measured_on(store):
    run_id = store_run(store, small_sweep(values=(1, 2), num_samples=3), lambda setting: 1.0, engine="graph")
    row = _listed(store, run_id)
    assert (row["engine"], row["dtype"], row["clock"], row["num_samples"]) == ("graph", "float32", "events", 6)
    assert row["title"] == "tiny, graph, random weights on a card"
    assert "spec" not in row and row["has_spec"]


def test_the_small_trained_model_is_said_to_be_one(sample_results):
    run_id = sample_results.latest("joint")
    assert _listed(sample_results, run_id)["title"] == (
        "shapes, compiled, a small model trained on drawn pictures, on NVIDIA H200"
    )


def test_a_run_that_has_not_begun_is_listed_with_what_was_asked(store):
    spec = RunSpec.new(Target(device="cuda:1", engine="compiled"), small_sweep())
    with SpoolWriter(spool_path(store.spools, spec.id)) as writer:
        writer.run(spec)
    store.take_in_all()
    row = _listed(store, spec.id)
    assert row["title"] == "tiny, compiled on cuda:1"
    assert row["state"] == "queued"


def test_an_import_that_says_nothing_of_its_machine_has_its_name(store):
    run_id = import_file(store, published_topk(lambda top_k: 1.0), "published.json")
    assert _listed(store, run_id)["title"] == "published.json"


@pytest.mark.parametrize(
    "environment", ['{"engine": "\\ud800"}', "no JSON", '{"engine": [1]}', '{"engine": NaN}', "[]"]
)
def test_an_environment_of_any_text_spoils_no_list(store, environment):
    run_id = store_run(store, small_sweep(values=(1,), num_samples=1), lambda setting: 1.0)
    other = store_run(store, small_sweep(values=(1,), num_samples=1), lambda setting: 1.0, engine="graph")
    with store.connection.transaction() as cursor:
        cursor.execute("UPDATE runs SET environment = ? WHERE id = ?", [environment, run_id])
    assert _listed(store, other)["engine"] == "graph"
    assert isinstance(_listed(store, run_id)["title"], str)
    json.dumps(store.run_list()[["engine", "model"]].to_dict("records"))


def test_ids_are_those_of_the_states_that_are_asked(store):
    run_id = store_run(store, small_sweep(values=(1,), num_samples=1), lambda setting: 1.0)
    assert store.ids(["done"]) == [run_id]
    assert store.ids(["queued", "running"]) == []


def test_many_names_that_are_alike_are_told_apart():
    names = {str(number): "one name" for number in range(20_000)}
    told = tell_apart(names)
    assert len(set(told.values())) == len(names)
    assert told["7"] == "one name, 7"
