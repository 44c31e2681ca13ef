"""Baselines: kept in the database and beside the spools, so that they outlive it."""

import json
from datetime import datetime

import pytest

from profcore.errors import UserError
from profcore.spec.baselines import read_baselines
from profcore.storage.rebuild import rebuild
from profcore.storage.store import Store, open_for_reading
from tests.comparisons.stored import store_run
from tests.support import small_sweep


def a_run(store, **more):
    return store_run(store, small_sweep(), lambda setting: 10.0, **more)


def named(store):
    return dict(zip(*(store.baselines()[column] for column in ("name", "run_id")), strict=True))


def test_a_baseline_outlives_its_database_and_is_read_while_another_holds_it(tmp_path):
    database = tmp_path / "data.duckdb"
    with Store(database) as store:
        one, two = a_run(store), a_run(store, hour=1)
        store.set_baseline(" main \n branch ", one)
        store.set_baseline("other", one)
        store.set_baseline("main branch", two)
        assert named(store) == {"main branch": two, "other": one}
        assert store.baselines()["experiment"].tolist() == ["moe_topk"] * 2
        # As a dashboard that holds the database would leave it to another process.
        with Store(":memory:", store.spools) as reader:
            assert named(reader) == {"main branch": two, "other": one}
    rebuild(database)
    with open_for_reading(database) as store:
        assert named(store) == {"main branch": two, "other": one}


def test_a_baseline_is_removed_by_name_and_goes_with_its_run(tmp_path):
    with Store(tmp_path / "data.duckdb") as store:
        one, two = a_run(store), a_run(store)
        for name, run_id in (("a", one), ("b", two)):
            store.set_baseline(name, run_id)
        store.remove_baseline("a")
        with pytest.raises(UserError, match=r"no baseline 'a': the baselines are b\.$"):
            store.remove_baseline("a")
        store.remove(two)
        with pytest.raises(UserError, match=r"no baseline 'b': none is set\.$"):
            store.remove_baseline("b")
        assert named(store) == {}
        assert "baselines" not in json.loads((store.spools / "given.json").read_text())


@pytest.mark.parametrize(
    ("name", "said"), [("  ", r"needs a name: give one, such as main\.$"), ("x" * 81, "too long"), ("-x", "no hyphen")]
)
def test_a_name_that_is_none_is_refused_and_nothing_changes(tmp_path, name, said):
    with Store(tmp_path / "data.duckdb") as store:
        run_id = a_run(store)
        with pytest.raises(UserError, match=said):
            store.set_baseline(name, run_id)
        with pytest.raises(UserError, match="a run's id"):
            store.set_baseline(run_id, run_id)
        with pytest.raises(UserError, match="no run"):
            store.set_baseline("main", "nothing")
        assert named(store) == {}


def test_what_a_file_holds_that_is_no_baseline_is_passed_over():
    when = {"set_at": "2026-01-02T03:04:05"}
    given = {"good": {"run": "r", **when}, "": {"run": "r", **when}, "a": {"run": 1, **when}, "b": 3, "c": {"run": "r"}}
    found = read_baselines({**given, "d": {"run": "r", "set_at": 5}})
    assert {name: (each.run_id, each.set_at) for name, each in found.items()} == {
        "good": ("r", datetime(2026, 1, 2, 3, 4, 5))
    }
    assert read_baselines([1]) == read_baselines(None) == {}
