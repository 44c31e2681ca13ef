"""Runs as pages show them are worked out once, and again once anything of them has changed."""

import pytest

from profcore.service.results import Results
from profcore.service.shared import Shared
from profcore.spec.stages import State
from profcore.storage.spool import SpoolWriter, spool_path
from profcore.storage.store import Store
from tests.comparisons.stored import store_run
from tests.support import CEILINGS, small_sweep


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "data.duckdb") as store:
        yield store


@pytest.fixture
def results(store):
    return Results(store, store.run_list)


def a_run(store, ceilings=True, **more):
    run_id = store_run(store, small_sweep(), lambda setting: float(setting.top_k), **more)
    if ceilings:
        with SpoolWriter(spool_path(store.spools, run_id)) as writer:
            writer.ceilings(CEILINGS)
        store.take_in_all()
    return run_id


def test_a_run_that_has_ended_is_loaded_once_whatever_else_is_measured(store, results):
    run_id = a_run(store)
    first = results.sweep(run_id)
    a_run(store, hour=1)
    assert results.sweep(run_id) is first
    assert results.any(run_id) is first
    assert results.pictures(run_id) is None
    assert results.sweep("nowhere") is None


@pytest.mark.parametrize("how", ["renamed", "marked", "resumed", "deleted"])
def test_it_is_loaded_again_once_anything_of_it_has_changed(store, results, how):
    run_id = a_run(store)
    first = results.sweep(run_id)
    if how == "renamed":
        store.rename(run_id, "mine")
        assert results.sweep(run_id).run["name"] == "mine"
    elif how == "marked":
        store.mark(run_id, note="look")
        assert results.sweep(run_id).run["note"] == "look"
    elif how == "resumed":
        with SpoolWriter(spool_path(store.spools, run_id)) as writer:
            writer.setting_failed(0, "It broke.")
        store.take_in_all()
        assert results.sweep(run_id).settings["failed"].tolist()[0] == "It broke."
    else:
        store.remove(run_id)
        assert results.sweep(run_id) is None
    assert results.sweep(run_id) is not first


def test_a_run_without_ceilings_follows_those_of_others(store, results):
    run_id = a_run(store, ceilings=False, device_name=CEILINGS.device_name)
    assert results.sweep(run_id).ceilings == {}
    a_run(store, hour=1)
    assert results.sweep(run_id).ceilings["device_name"] == CEILINGS.device_name


def test_what_follows_from_runs_is_worked_out_once_but_for_one_under_way(store, results):
    ended, growing = a_run(store), a_run(store, hour=1, state=State.RUNNING)
    made = []

    def follows(*run_ids):
        return results.follows("it", run_ids, lambda: made.append(run_ids) or len(made))

    assert [follows(ended), follows(ended)] == [1, 1]
    assert [follows(ended, growing), follows(ended, growing)] == [2, 3]
    store.rename(ended, "mine")
    assert follows(ended) == 4


def test_what_follows_from_which_runs_there_are_is_worked_out_when_these_are_others(store, results):
    a_run(store)
    made = []

    def among(*experiments):
        return results.among("it", experiments, lambda: made.append(experiments) or len(made))

    assert [among("moe_topk"), among("moe_topk")] == [1, 1]
    other = store_run(store, small_sweep("output_tokens"), lambda setting: 1.0)
    assert [among("moe_topk"), among("moe_topk", "output_tokens")] == [1, 2]
    store.mark(other, archived=True)
    assert [among("moe_topk"), among("moe_topk", "output_tokens")] == [1, 3]


def test_what_takes_much_memory_makes_others_be_forgotten_but_never_itself():
    shared, made = Shared(lambda: 0, weigh=len, most=10), []

    def get(key, size):
        return shared.get(key, lambda: made.append(key) or "x" * size)

    for key, size in (("a", 4), ("b", 4), ("a", 4), ("c", 4), ("a", 4), ("b", 4)):
        get(key, size)
    assert made == ["a", "b", "c", "b"]
    get("huge", 100)
    get("huge", 100)
    get("a", 4)
    assert made[4:] == ["huge", "a"]
