"""Who a run and its spool belong to: locks that death frees, and a folder of spools for each database."""

import json
import platform
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from profcore.errors import NoSpaceError, RunHeldError, UserError
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage import spool
from profcore.storage import store as stores
from profcore.storage.lines import read_from, read_lines
from profcore.storage.store import Store, open_for_reading, spool_directory
from tests.support import ROOT, small_sweep


def a_run(folder, *states, name=None):
    """A spool of a run with some states, which nobody holds."""
    spec = RunSpec.new(Target(), small_sweep())
    path = spool.spool_path(folder, spec.id)
    with spool.SpoolWriter(path) as writer:
        writer.run(spec)
        writer.owner("command")
        for state in states:
            writer.state(state)
    return spec.id, path


def states(path):
    return [record["state"] for record in read_from(path).records if record["type"] == "state"]


@contextmanager
def held(path, how="RunHold"):
    """Another process that holds a run, and is killed at the end."""
    code = (
        f"import sys, pathlib; from profcore.storage.spool import {how} as Held\n"
        "held = Held(pathlib.Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"held\n"
            yield
        finally:
            process.send_signal(signal.SIGKILL)


@pytest.mark.parametrize("how", ["RunHold", "SpoolWriter"])
def test_a_run_that_another_process_has_is_neither_ended_nor_deleted_until_that_is_killed(tmp_path, how):
    with Store(tmp_path / "data.duckdb") as store:
        run_id, path = a_run(store.spools, State.QUEUED)
        store.take_in_all()
        with held(path, how):
            assert spool.is_being_written(path)
            assert store.end_abandoned() == 0
            assert not spool.end_abandoned(path, "gone")
            with pytest.raises(UserError, match="by another process"):
                store.remove(run_id)
        assert (store.run(run_id)["state"], states(path)) == ("queued", ["queued"])
        assert store.end_abandoned() == 1
        run = store.run(run_id)
    assert (run["state"], run["reason"]) == (
        "failed",
        "The command that had started this run ended before it was done.",
    )


def test_the_reason_says_who_is_gone(tmp_path):
    spec = RunSpec.new(Target(), small_sweep())
    path = spool.spool_path(tmp_path, spec.id)
    spool.RunHold.of_new(path, spec, "dashboard").close()
    assert spool.read_spec(path) == spec
    assert spool.end_abandoned(path)
    assert read_from(path).records[-1]["reason"].startswith("The dashboard that had started this run ended")


def test_looking_never_breaks_a_writer(tmp_path):
    """Somebody looks all the time; whoever is to write always gets the lock, and never twice."""
    _, path = a_run(tmp_path, State.QUEUED)
    done = threading.Event()

    def look():
        while not done.is_set():
            spool.is_being_written(path)

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(300):
            with spool.RunHold(path), spool.SpoolWriter(path):
                for again in (spool.RunHold, spool.SpoolWriter):
                    with pytest.raises(RunHeldError):
                        again(path)
    finally:
        done.set()
        for looker in lookers:
            looker.join()
    assert not spool.is_being_written(path)


def test_reading_a_spool_in_its_writers_process_does_not_drop_the_lock(tmp_path):
    _, path = a_run(tmp_path)
    with spool.SpoolWriter(path):
        path.read_bytes()
        read_lines(path)
        assert spool.is_being_written(path)


def test_a_run_is_seen_only_once_it_is_held_and_whole(tmp_path, monkeypatch):
    spec = RunSpec.new(Target(), small_sweep())
    path = spool.spool_path(tmp_path, spec.id)
    monkeypatch.setattr(spool.os, "fsync", lambda number: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(NoSpaceError, match="No space left in"):
        spool.RunHold.of_new(path, spec, "dashboard")
    assert list(tmp_path.iterdir()) == []


def test_half_a_line_is_cut_off_before_more_is_written(tmp_path):
    _, path = a_run(tmp_path, State.RUNNING)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"type":"sample","x":"' + b"y" * 200_000)
    with spool.SpoolWriter(path) as writer:
        writer.state(State.STOPPED, "Stopped on request.")
    assert states(path) == ["running", "stopped"]
    path.write_bytes(b'{"type":"run"')
    spool.SpoolWriter(path).close()
    assert path.read_bytes() == b""


@pytest.mark.parametrize("line", [b"", b"\xff\xfe", b'{"type":"state","state":["done"]}', b'{"type":"state"}', b"[1]"])
def test_a_bad_line_keeps_no_abandoned_run_running(tmp_path, line):
    _, path = a_run(tmp_path, State.RUNNING)
    with path.open("ab") as file:
        file.write(line + b"\n")
    assert spool.end_abandoned(path)
    assert spool.has_ended(path)


def test_what_is_measured_elsewhere_and_only_copied_here_is_left_as_it_is(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(platform, "node", lambda: "gpu-box")
        _, path = a_run(tmp_path / "there", State.RUNNING)
    (tmp_path / "here").mkdir()
    copy = path.rename(tmp_path / "here" / path.name)
    assert not spool.end_abandoned(copy)
    assert spool.end_abandoned(copy, "Nobody measures it here.")


def test_no_run_is_running_for_ever_when_its_spool_is_gone(tmp_path):
    with Store(tmp_path / "data.duckdb") as store:
        run_id, path = a_run(store.spools, State.RUNNING)
        store.take_in_all()
        path.unlink()
        assert store.end_abandoned() == 1
        assert "taken away" in store.run(run_id)["reason"]


def test_a_command_that_reads_ends_what_a_killed_one_left(tmp_path):
    database = tmp_path / "data.duckdb"
    run_id, _ = a_run(spool_directory(database), State.RUNNING)
    with open_for_reading(database) as store:
        assert store.run(run_id)["state"] == "failed"


def spools_of(database):
    return sorted(path.stem for path in spool_directory(database).glob("*.jsonl"))


def test_each_database_has_its_own_folder_and_adopts_what_it_knows_of_the_old_one(tmp_path):
    one, other, old = tmp_path / "one.duckdb", tmp_path / "other.duckdb", tmp_path / "spool"
    mine, both, theirs = (a_run(old, State.DONE)[0] for _ in range(3))
    for database, known in ((one, (mine, both)), (other, (theirs, both))):
        # As an older version had them: in one folder.
        with Store(database, old) as store:
            for run_id in known:
                store.take_in(spool.spool_path(old, run_id))
    unknown, _ = a_run(old, State.DONE)
    with Store(other) as store:
        store.take_in_all()
        assert spools_of(other) == sorted([theirs, both, unknown])
        assert store.runs()["id"].sort_values().tolist() == sorted([theirs, both, unknown])
    Store(one).close()
    assert spools_of(one) == sorted([mine, both])
    # What the other database knows too was left to it, and is there once in each folder.
    assert spools_of(other) == sorted([theirs, both, unknown])


def test_what_another_database_may_know_is_left_to_it(tmp_path):
    old = tmp_path / "spool"
    run_id, _ = a_run(old, State.DONE)
    (tmp_path / "damaged.duckdb").write_bytes(b"no database")
    with Store(tmp_path / "data.duckdb"):
        assert spools_of(tmp_path / "data.duckdb") == []
    (tmp_path / "damaged.duckdb").unlink()
    with Store(tmp_path / "data.duckdb"):
        assert spools_of(tmp_path / "data.duckdb") == [run_id]
    assert not old.exists()


def test_a_database_in_use_keeps_its_runs_when_another_is_opened_beside_it(tmp_path):
    with Store(tmp_path / "one.duckdb") as store:
        run_id, path = a_run(store.spools, State.QUEUED)
        with spool.RunHold(path), Store(tmp_path / "two.duckdb") as second:
            second.take_in_all()
            assert second.end_abandoned() == 0
            assert second.run(run_id) is None
        store.take_in_all()
        assert json.loads(store.runs()["spec"].iloc[0])["id"] == run_id


def test_a_spool_that_cannot_be_ended_is_not_read_through_again(tmp_path, monkeypatch):
    with Store(tmp_path / "data.duckdb") as store:
        spec = RunSpec.new(Target(), small_sweep())
        path = spool.spool_path(store.spools, spec.id)
        with spool.SpoolWriter(path) as writer:
            writer.run(spec)
            writer.write({**spool.owner_record("command", tmp_path), "host": "elsewhere", "folder": "/elsewhere"})
            writer.state(State.RUNNING)
        store.take_in_all()
        looks = []
        real = stores.end_abandoned
        monkeypatch.setattr(stores, "end_abandoned", lambda path: looks.append(path) or real(path))
        for _ in range(5):
            assert store.end_abandoned() == 0
        assert len(looks) == 1


def test_a_link_to_a_database_has_its_spools(tmp_path):
    (tmp_path / "link.duckdb").symlink_to(tmp_path / "data.duckdb")
    assert stores.spool_directory(tmp_path / "link.duckdb") == tmp_path / "data.duckdb.spool"
    with Store(tmp_path / "link.duckdb") as store:
        assert store.spools == tmp_path / "data.duckdb.spool"
