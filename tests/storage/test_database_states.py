"""Whatever became of the database: one sentence says it, and a new one is made from the spools."""

import os
import re
import shutil
import threading
from contextlib import contextmanager

import duckdb
import pytest

from profcore.errors import StoreDamagedError, StoreError, StoreFullError, StoreHeldError, StoreNewerError, UserError
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage import spool
from profcore.storage import store as stores
from profcore.storage.connection import Connection
from profcore.storage.migrations import MIGRATIONS
from profcore.storage.rebuild import rebuild, rebuild_open
from profcore.storage.shipped import shipped_spools
from profcore.storage.store import Store, open_for_reading, spool_directory
from profcore.storage.trouble import store_error
from tests.storage.test_store import a_sample
from tests.support import small_sweep

NOBODY = 65534


def add_run(spools, samples=3):
    spec = RunSpec.new(Target(), small_sweep())
    with spool.SpoolWriter(spool.spool_path(spools, spec.id)) as writer:
        writer.run(spec)
        for number in range(samples):
            writer.sample(a_sample(number))
        writer.state(State.DONE)
    return spec.id


@pytest.fixture(autouse=True)
def two_sample_results(tmp_path_factory, monkeypatch):
    """Of all sample results two of the smallest: taking in the others shows nothing more here."""
    few = tmp_path_factory.mktemp("samples")
    for path in sorted(shipped_spools().values(), key=lambda path: path.stat().st_size)[:2]:
        shutil.copy(path, few)
    monkeypatch.setattr(stores, "SHIPPED", few)


@pytest.fixture
def database(tmp_path):
    """A closed database with a run that has a name, and its spool."""
    path = tmp_path / "data.duckdb"
    run_id = add_run(spool_directory(path))
    with Store(path) as store:
        store.take_in_all()
        store.rename(run_id, "baseline")
    return path


@contextmanager
def as_somebody_else():
    """Without the rights of the superuser, whom permissions do not stop."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def let_all_in(folder):
    """Let every user of the machine reach a folder that pytest made for one alone."""
    for each in (folder, *folder.parents):
        if each.stat().st_uid == os.geteuid() and not each.stat().st_mode & 0o001:
            each.chmod(each.stat().st_mode | 0o011)


def use(path):
    """Everything that a page asks of a store."""
    with Store(path) as store:
        store.take_in_all()
        for run_id in store.runs()["id"]:
            store.run(run_id)
            store.settings(run_id)
            store.sample_table(run_id)
            store.decode_steps(run_id)
            store.rename(run_id, "other")
            store.rename(run_id, "baseline")
        return store.runs()


def change(path, statement):
    with duckdb.connect(str(path)) as connection:
        connection.execute(statement)


BROKEN = {
    "text": lambda path: path.write_text("no database, but long enough to be looked at " * 500),
    "empty": lambda path: path.write_bytes(b""),
    "one byte": lambda path: path.write_bytes(path.read_bytes()[:1]),
    "header": lambda path: path.write_bytes(path.read_bytes()[:4096]),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "without its row": lambda path: change(path, "DELETE FROM profcore_version"),
    "with two rows": lambda path: change(path, "INSERT INTO profcore_version VALUES (1)"),
    "below every version": lambda path: change(path, "UPDATE profcore_version SET version = -1"),
    "without a table": lambda path: change(path, "DROP TABLE samples"),
    "without a column": lambda path: change(path, "ALTER TABLE runs DROP COLUMN name"),
    "a column of another type": lambda path: change(path, "ALTER TABLE samples ALTER total_ms TYPE VARCHAR"),
    "without a column of samples": lambda path: change(path, "ALTER TABLE samples DROP COLUMN total_ms"),
    "a spec that is no JSON": lambda path: change(path, "UPDATE runs SET spec = '{'"),
    "an environment of another kind": lambda path: change(path, "UPDATE runs SET environment = '[1]'"),
    "details of another kind": lambda path: change(path, "UPDATE runs SET details = 'null'"),
    "newer": lambda path: change(path, f"UPDATE profcore_version SET version = {len(MIGRATIONS) + 1}"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_database_says_so_and_is_made_anew_from_its_spools(database, how):
    BROKEN[how](database)
    with pytest.raises((StoreDamagedError, StoreNewerError)) as caught:
        use(database)
    assert f"python -m profcore rebuild --db {database}" in str(caught.value)
    assert "Error" not in str(caught.value)
    held = database.read_bytes()
    rebuilt = rebuild(database)
    assert rebuilt.aside.read_bytes() == held
    runs = use(database)
    assert rebuilt.runs == len(runs) == 3
    assert runs[runs["source"] == "measured"][["name", "num_samples"]].to_numpy().tolist() == [["baseline", 3]]
    assert not list(database.parent.glob("*.part"))


def test_any_flipped_bytes_end_in_a_sentence_or_in_nothing(database):
    whole = database.read_bytes()
    outcomes = set()
    for place in range(0, len(whole), max(len(whole) // 10, 1)):
        database.write_bytes(
            whole[:place] + bytes(each ^ 0x5A for each in whole[place : place + 64]) + whole[place + 64 :]
        )
        try:
            use(database)
            outcomes.add("fine")
        except StoreDamagedError:
            outcomes.add("damaged")
    assert "damaged" in outcomes


def test_what_cannot_be_written_or_read_says_which_permissions_it_needs(database):
    folder = database.parent
    let_all_in(folder)
    for path, mode in ((database, 0o444), (database, 0o000), (folder, 0o555)):
        for each in (folder, spool_directory(database)):
            each.chmod(0o777)
        database.chmod(0o666)
        path.chmod(mode)
        try:
            with as_somebody_else(), pytest.raises(StoreError, match=r"permissions on it and on its folder"):
                use(database)
        finally:
            folder.chmod(0o777)
    assert use(database)["name"].tolist() == ["baseline"]


def test_a_path_of_any_words_is_not_what_is_wrong(tmp_path):
    path = tmp_path / "could not set lock: no space left, permission denied" / "conflicting lock.duckdb"
    path.parent.mkdir()
    path.write_text("no database " * 1000)
    with pytest.raises(StoreDamagedError):
        Store(path)
    path.unlink()
    with Store(path):
        raised = duckdb.IOException(f'IO Error: Could not set lock on file "{path}": Conflicting lock is held')
        assert isinstance(store_error(raised, path), StoreHeldError)
    with pytest.raises(StoreError, match="no file"):
        Store(path.parent)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(StoreError, match="no file"):
        Store(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("raised", "kind", "says"),
    [
        (duckdb.IOException('Could not write file "x": No space left on device'), StoreFullError, "No space left in"),
        (duckdb.IOException("Trying to read a database file with version number 99"), StoreError, "another version of"),
        (duckdb.OutOfMemoryException("could not allocate"), StoreError, "try again"),
        (duckdb.InternalException("INTERNAL Error: Attempted to access index 3\nStack"), StoreDamagedError, "damaged"),
        (duckdb.FatalException("FATAL Error: database has been invalidated"), StoreDamagedError, "damaged"),
    ],
)
def test_what_duckdb_raises_is_a_sentence(tmp_path, raised, kind, says):
    found = store_error(raised, tmp_path / "data.duckdb")
    assert type(found) is kind
    assert says in str(found)
    assert not re.search(r"INTERNAL|FATAL|Stack|\n", str(found))


def test_a_database_deleted_while_it_is_open_is_noticed_and_made_anew(database):
    with Store(database) as store:
        store.check_there()
        database.unlink()
        with pytest.raises(StoreDamagedError, match="deleted or replaced while it was open"):
            store.check_there()
        later = add_run(store.spools)
        rebuilt = rebuild_open(store)
        store.check_there()
        assert rebuilt.aside is None
        assert store.run(later)["num_samples"] == 3
        assert "baseline" in store.runs()["name"].tolist()
    assert len(use(database)) == rebuilt.runs


def test_an_open_database_is_replaced_under_whoever_asks_it(database):
    with Store(database) as store:
        replaced = database.with_name("other")
        replaced.write_bytes(database.read_bytes())
        replaced.replace(database)
        with pytest.raises(StoreDamagedError, match="replaced"):
            store.check_there()
        rebuild_open(store)
        store.check_there()
        assert "baseline" in store.runs()["name"].tolist()


def test_another_programs_database_and_a_folder_without_spools_are_left_alone(database, tmp_path):
    other = tmp_path / "other.duckdb"
    change(other, "CREATE TABLE cats (name VARCHAR)")
    add_run(spool_directory(other))
    with pytest.raises(StoreError, match="another program"):
        rebuild(other)
    (tmp_path / "empty").mkdir()
    notes = tmp_path / "empty" / "notes.txt"
    notes.write_text("mine")
    with pytest.raises(UserError, match="No spools lie in"):
        rebuild(notes)
    assert notes.read_text() == "mine"


def test_a_rebuilt_database_says_which_runs_no_spool_holds(database):
    with Store(database) as store:
        run_id = store.runs()["id"].tolist()[0]
    spool.spool_path(spool_directory(database), run_id).unlink()
    other = add_run(spool_directory(database))
    assert rebuild(database).lacking == [run_id]
    assert other in use(database)["id"].tolist()


def test_names_of_before_there_was_a_file_for_them_are_kept_from_then_on(database):
    (spool_directory(database) / "given.json").unlink()
    Store(database).close()
    database.unlink()
    assert use(database)["name"].tolist() == ["baseline"]


@pytest.mark.parametrize(
    "content", ["", "oops", "[1]", '{"names": 7, "removed": []}', '{"names": {"a": 7}}', "[" * 10**5]
)
def test_names_that_cannot_be_read_are_set_aside_and_stop_nothing(database, content):
    kept = spool_directory(database) / "given.json"
    kept.write_text(content)
    assert use(database)["name"].tolist() == ["baseline"]
    assert kept.with_suffix(".json.bad").read_text() == content


def test_a_removed_sample_result_and_a_name_taken_back_stay_so_in_a_new_database(database):
    with Store(database) as store:
        store.take_in_shipped()
        removed = store.runs().query("source == 'shipped'")["id"].tolist()[0]
        store.remove(removed)
        number = len(store.runs())
    database.unlink()
    assert rebuild(database).runs == number
    with Store(database) as store:
        assert store.removed() == {removed}
        store.restore_shipped()
        assert len(store.runs()) == number + 1
    database.unlink()
    assert rebuild(database).runs == number + 1


def test_names_are_known_while_another_process_holds_the_database(database, monkeypatch):
    def held(path):
        raise StoreHeldError("held")

    real = Connection.__init__

    def open_or_be_held(self, path):
        if str(path) != ":memory:":
            held(path)
        real(self, path)

    monkeypatch.setattr(Connection, "__init__", open_or_be_held)
    with open_for_reading(database) as store:
        assert "baseline" in store.runs()["name"].tolist()


def test_a_database_that_another_process_is_just_making_is_waited_for(database, tmp_path):
    making = tmp_path / "made.duckdb"
    making.write_bytes(b"half a header")
    done = threading.Timer(0.3, lambda: shutil.copy(database, making))
    done.start()
    with Store(making) as store:
        assert len(store.runs()) == 1
    done.join()


def test_an_old_file_that_is_no_database_is_not_waited_for(tmp_path, monkeypatch):
    path = tmp_path / "old.duckdb"
    path.write_bytes(b"half a header")
    os.utime(path, (1, 1))
    monkeypatch.setattr("profcore.storage.connection.time.sleep", None)
    with pytest.raises(StoreDamagedError, match="no DuckDB database"):
        Store(path)
