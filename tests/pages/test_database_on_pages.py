"""What became of database and spools, as the pages say it; nothing is measured: the worker makes its samples up."""

from collections import namedtuple

import duckdb
import pytest
from streamlit.testing.v1 import AppTest

from pages.parts import state as page_state
from profcore.errors import StoreDamagedError
from profcore.service.service import Service
from profcore.storage import space
from profcore.storage import store as stores
from profcore.storage.store import Store, spool_directory
from tests.storage.test_database_states import add_run
from tests.support import FAKE, ROOT, seconds

WITH_RUNS = ("home", "runs", "moe_topk", "why", "engines", "compare", "motivation")


@pytest.fixture
def database(tmp_path, monkeypatch):
    """A closed database with a run that has a name, which the pages are to use."""
    (tmp_path / "samples").mkdir()
    monkeypatch.setattr(stores, "SHIPPED", tmp_path / "samples")
    monkeypatch.setattr(page_state, "Service", lambda database, roots: Service(database, roots, FAKE))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    path = tmp_path / "data.duckdb"
    monkeypatch.setenv("PROFCORE_DB", str(path))
    run_id = add_run(spool_directory(path))
    with Store(path) as store:
        store.take_in_all()
        store.rename(run_id, "baseline")
    page_state._service.clear()
    yield path
    if not sentences(open_page("home"), "error"):
        page_state.service().close()
    page_state._service.clear()


def open_page(name):
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=seconds(60))
    if name != "home":
        page.switch_page(f"pages/{name}.py")
    return page.run()


def sentences(page, kind):
    assert not page.exception
    return [each.value for each in getattr(page, kind)]


def rebuild(page):
    page.button(key="rebuild").click().run()
    assert sentences(page, "error") == []
    return page


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (lambda path: path.write_bytes(b""), "what is left of one"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "is damaged"),
        (lambda path: change(path, "DELETE FROM profcore_version"), "which version"),
        (lambda path: change(path, "UPDATE profcore_version SET version = 99"), "newer profcore"),
    ],
)
def test_a_broken_database_is_one_sentence_and_is_made_anew_by_a_click(database, how, says):
    how(database)
    page = open_page("home")
    (said,) = sentences(page, "error")
    assert says in said
    assert "python -m profcore rebuild" in said
    rebuild(page)
    assert "baseline" in page_state.service().store.runs()["name"].tolist()
    assert len(list(database.parent.glob("data.duckdb.old-*"))) == 1


def change(path, statement):
    with duckdb.connect(str(path)) as connection:
        connection.execute(statement)


def test_a_database_deleted_while_it_is_open_is_said_on_every_page_and_made_anew(database):
    assert sentences(open_page("home"), "error") == []
    database.unlink()
    for name in WITH_RUNS:
        (said,) = sentences(open_page(name), "error")
        assert "deleted or replaced while it was open" in said
    rebuild(open_page("runs"))
    assert "baseline" in page_state.service().store.runs()["name"].tolist()


@pytest.mark.parametrize("name", WITH_RUNS)
def test_what_the_database_raises_in_use_is_said_with_the_way_out(database, monkeypatch, name):
    assert sentences(open_page("home"), "error") == []

    def fail(*given, **named):
        raise StoreDamagedError("data.duckdb is damaged: `python -m profcore rebuild` makes a new one.")

    # Something has changed, so that what was shown before is not shown again.
    store = page_state.service().store
    store.rename(store.run_list()["id"].iloc[0], "other")
    for asked in ("runs", "run_list", "ids", "latest", "ranked", "run"):
        monkeypatch.setattr(page_state.service().store, asked, fail)
    page = open_page(name)
    assert "data.duckdb is damaged" in sentences(page, "error")[-1]
    monkeypatch.undo()
    monkeypatch.setenv("PROFCORE_DB", str(database))
    rebuild(page)


def test_what_cannot_be_read_is_named_and_counted_in_a_notice_on_home_and_runs(database):
    spools = spool_directory(database)
    (spools / "aaa.jsonl").write_text("oops\n")
    (spools / "folder.jsonl").mkdir()
    run_id = next(path for path in spools.glob("2*.jsonl"))
    with run_id.open("a") as file:
        file.write("oops\n[1]\n")
    for name in ("home", "runs"):
        page = open_page(name)
        assert sentences(page, "error") == []
        assert [each for each in sentences(page, "info") if "cannot be read" in each] == [
            "A file of the spool folder cannot be read: aaa.jsonl is not a spool this version reads: its first line "
            "holds no run. 1 more file cannot be read and 2 lines were left out of 1 run: "
            "python -m profcore unread lists them."
        ]


def test_a_folder_that_is_left_without_a_problem_has_no_notice(database):
    assert not [each for each in sentences(open_page("home"), "info") if "spool" in each]


@pytest.mark.parametrize("name", ["moe_topk", "motivation"])
def test_run_warns_when_little_space_is_left(database, monkeypatch, name):
    assert not [each for each in sentences(open_page(name), "warning") if "are left in" in each]
    usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 10**6, 10**6))
    assert [each for each in sentences(open_page(name), "warning") if each.startswith("Only 1 MB are left in")]


def test_a_page_without_runs_says_where_they_come_from(database):
    """Sweep and pictures has no controls of its own that one could press Run below."""
    told = " ".join(sentences(open_page("compare"), "info"))
    assert "Measure on the page *Vision tokens*" in told
    assert "on the left" not in told
    for run_id in page_state.service().runs()["id"]:
        page_state.service().remove(run_id)
    told = " ".join(sentences(open_page("runs"), "info"))
    assert "press **Run**, or import below" in told
