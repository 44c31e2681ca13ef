"""Sample results as tables: the same as their spools give, and passed over where they are not of these."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

from profcore.paths import SHIPPED
from profcore.storage.connection import IN_MEMORY
from profcore.storage.migrations import MIGRATIONS
from profcore.storage.prepared import FOLDER, TABLES, prepared_runs, write_prepared
from profcore.storage.shipped import shipped_spools
from profcore.storage.store import Store


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A folder of a few sample results with their tables, one of them of several environments."""
    folder = tmp_path_factory.mktemp("shipped")
    for path in list(shipped_spools().values())[-3:]:
        shutil.copy(path, folder)
    with Store(IN_MEMORY) as store:
        store.take_in_shipped(folder, prepared=False)
        write_prepared(store.connection, folder)
    return folder


def tables(store):
    """All that the database holds of runs."""
    return {name: store.connection.cursor.arrow(f"SELECT * FROM {name} ORDER BY ALL") for name in TABLES}


def taken_in(folder, prepared):
    with Store(IN_MEMORY) as store:
        store.take_in_shipped(folder, prepared)
        return tables(store)


def test_they_hold_what_their_spools_give(shipped):
    assert prepared_runs(shipped) == shipped_spools(shipped).keys()
    assert taken_in(shipped, True) == taken_in(shipped, False)


def test_those_of_the_project_are_of_its_spools_as_they_are():
    assert prepared_runs() == shipped_spools().keys(), "run python -m profcore.storage.prepared"


@pytest.mark.long
def test_those_of_the_project_hold_what_all_of_its_spools_give():
    assert taken_in(SHIPPED, True) == taken_in(SHIPPED, False), "run python -m profcore.storage.prepared"


def test_no_spool_is_read_where_there_are_tables(shipped, monkeypatch):
    monkeypatch.setattr(Store, "_take_in", None)
    assert len(taken_in(shipped, True)["runs"]) == 3


def changed(folder, tmp_path, change):
    """A copy of sample results in which something is another."""
    copy = tmp_path / "changed"
    shutil.copytree(folder, copy)
    change(copy)
    return copy


def _another_schema(folder):
    path = folder / FOLDER / "of.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": len(MIGRATIONS) - 1}))


def _other_samples(folder):
    """As Parquet as good as the right ones, of which it holds a few."""
    path = folder / FOLDER / "samples.parquet"
    pq.write_table(pq.read_table(path).slice(0, 10), path)


def _a_bit_turned(folder):
    path = folder / FOLDER / "samples.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "change",
    [
        _another_schema,
        _other_samples,
        _a_bit_turned,
        lambda folder: shutil.rmtree(folder / FOLDER),
        lambda folder: (folder / FOLDER / "of.json").write_text("[]"),
        lambda folder: (folder / FOLDER / "samples.parquet").write_bytes(b"cut off"),
        lambda folder: (folder / FOLDER / "runs.parquet").unlink(),
    ],
)
def test_tables_that_are_of_no_use_are_passed_over(shipped, tmp_path, change):
    folder = changed(shipped, tmp_path, change)
    assert taken_in(folder, True) == taken_in(shipped, False)


def test_a_sample_result_that_is_another_by_now_is_read_from_its_spool(shipped, tmp_path):
    first, other = (next(iter(shipped_spools(folder).values())) for folder in (shipped, SHIPPED))

    def change(folder):
        (folder / first.name).unlink()
        shutil.copy(other, folder)

    folder = changed(shipped, tmp_path, change)
    assert prepared_runs(folder) == shipped_spools(shipped).keys() - {first.name.partition(".")[0]}
    with Store(IN_MEMORY) as store:
        store.take_in_shipped(folder)
        assert set(store.runs()["id"]) == shipped_spools(folder).keys()


def test_what_people_said_and_took_away_holds(shipped, tmp_path):
    named, removed, _ = shipped_spools(shipped)
    path = tmp_path / "data.duckdb"
    with Store(path) as store:
        store.take_in_shipped(shipped)
        store.rename(named, "the one")
        store.mark(named, note="for the paper", starred=True)
        store.remove(removed)
        store.take_in_shipped(shipped)
        assert removed not in set(store.runs()["id"])
    path.unlink()
    with Store(path) as store:
        store.take_in_shipped(shipped)
        run = store.run(named)
        assert (run["name"], run["note"], run["starred"]) == ("the one", "for the paper", True)
