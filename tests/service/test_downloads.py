"""Runs as zips: what was made of a run is kept for the next who asks, as long as nothing of it changes."""

import io
import json
import zipfile

import pytest

from profcore.export import archive
from profcore.formats import joint_out, motivation, profiling, samples
from profcore.service.downloads import Downloads
from profcore.service.results import Results
from profcore.spec.stages import State
from profcore.storage.store import Store
from tests.comparisons.stored import store_run
from tests.formats.test_text_files import plain_json
from tests.support import small_sweep


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "data.duckdb") as store:
        yield store


@pytest.fixture
def downloads(store):
    downloads = Downloads(store, Results(store, store.run_list))
    yield downloads
    downloads.close()


@pytest.fixture
def made(monkeypatch):
    """The runs whose data files were made, one after another."""
    made, make = [], archive.data_files

    def noted(store, result):
        made.append(result.run["id"])
        return make(store, result)

    monkeypatch.setattr(archive, "data_files", noted)
    return made


def held(data):
    with zipfile.ZipFile(io.BytesIO(data)) as files:
        return [(name, files.read(name)) for name in files.namelist()]


def test_what_was_made_of_a_run_is_given_again_until_it_changes(store, downloads, made):
    first, second = (store_run(store, small_sweep(), lambda setting: 1.0, hour=hour) for hour in range(2))
    with store.connection.transaction() as cursor:
        # Without ceilings of its own a run is judged by another's, so that any change may be one of it.
        cursor.execute("UPDATE runs SET ceilings = '{}'")
    before = held(downloads.all_zip())
    assert held(downloads.all_zip()) == before
    assert sorted(made) == sorted([first, second])
    store.rename(second, "mine")
    after = dict(held(downloads.all_zip()))
    assert made[2:] == [second]
    assert json.loads(after[f"{second}/run.json"])["run"]["name"] == "mine"
    assert after[f"{first}/samples.csv"] == dict(before)[f"{first}/samples.csv"]


def test_no_more_is_kept_than_there_is_room_for(store, downloads, made, monkeypatch):
    runs = [store_run(store, small_sweep(), lambda setting: 1.0, hour=hour) for hour in range(3)]
    monkeypatch.setattr(downloads._data, "_most", 1)
    before = held(downloads.all_zip())
    assert held(downloads.all_zip()) == before
    assert len(made) == 2 * len(runs)


def test_of_a_run_under_way_nothing_is_kept(store, downloads, made, monkeypatch):
    run_id = store_run(store, small_sweep(), lambda setting: 1.0, state=State.RUNNING)
    monkeypatch.setattr(downloads, "ended_runs", lambda: [run_id])
    downloads.all_zip()
    downloads.all_zip()
    assert made == [run_id, run_id]


def test_a_run_that_is_gone_is_passed_over(store, downloads, monkeypatch):
    run_id = store_run(store, small_sweep(), lambda setting: 1.0)
    monkeypatch.setattr(downloads, "ended_runs", lambda: ["gone", run_id])
    assert {name.split("/")[0] for name, _ in held(downloads.all_zip())} == {run_id}


def test_files_of_sample_results_are_those_of_the_standard_library_s_json(sample_results, monkeypatch):
    runs = sample_results.run_list()
    some = runs.groupby("experiment")["id"].first()
    quick = {run_id: archive.data_files(sample_results, archive.load_run(sample_results, run_id)) for run_id in some}
    for module in (archive, joint_out, motivation, profiling, samples):
        monkeypatch.setattr(module, "json_text", lambda value, indent=None: plain_json(value, indent))
    for run_id in some:
        assert archive.data_files(sample_results, archive.load_run(sample_results, run_id)) == quick[run_id]
