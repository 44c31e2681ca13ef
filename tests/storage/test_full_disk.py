"""No space left: nothing is half there, what was measured stays, and everything goes on once there is space."""

import json
import os
import resource
import subprocess
import tempfile
from contextlib import contextmanager

import pytest

from profcore.errors import NoSpaceError, StoreError, StoreFullError
from profcore.formats.imports import read_import, write_import
from profcore.service.intake import Intake
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage import spool
from profcore.storage import store as stores
from profcore.storage.ask import asking
from profcore.storage.lines import read_from
from profcore.storage.space import space_note
from profcore.storage.store import Store
from tests.storage.test_store import a_sample
from tests.support import small_sweep


@contextmanager
def limited(number):
    """Let no file of this process grow beyond some bytes, as a quota or a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (number, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MB, where one may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place):
    """Use up a file system's space; returns the file that does."""
    path = place / "fill"
    with path.open("ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return path


def test_queries_are_answered_again_once_there_is_space_for_the_copy(tmp_path, small_disk, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    with Store(tmp_path / "data.duckdb") as store, asking(store) as questioner:
        filled = fill(small_disk)
        for _ in range(2):
            with pytest.raises(StoreError, match=r"No space left|cannot be copied") as refused:
                questioner.ask("SELECT count(*) AS number FROM runs")
            assert "rebuild" not in str(refused.value)
        filled.unlink()
        assert questioner.ask("SELECT count(*) AS number FROM runs").table["number"][0] == len(store.runs())


def write_until_full(writer):
    written = 0
    with pytest.raises(NoSpaceError, match="No space left in"):
        while True:
            writer.sample(a_sample(written))
            written += 1
    return written


def test_what_does_not_fit_is_cut_off_whole_and_goes_on_when_it_does(tmp_path):
    spec = RunSpec.new(Target(), small_sweep())
    path = spool.spool_path(tmp_path, spec.id)
    with spool.SpoolWriter(path) as writer:
        writer.run(spec)
        with limited(path.stat().st_size + 1000):
            written = write_until_full(writer)
        assert written
        assert [record["type"] for record in read_from(path).records] == ["run"] + ["sample"] * written
        writer.sample(a_sample(written))
        writer.state(State.DONE)
    records = read_from(path).records
    assert [record["sample_id"] for record in records[1:-1]] == list(range(written + 1))


def test_a_run_whose_end_does_not_fit_is_ended_later_for_want_of_space(tmp_path):
    spec = RunSpec.new(Target(), small_sweep())
    path = spool.spool_path(tmp_path, spec.id)
    with spool.SpoolWriter(path) as writer:
        writer.run(spec)
        # No file may grow here, so that what is kept for its end helps nothing.
        with limited(path.stat().st_size), pytest.raises(NoSpaceError):
            writer.state(State.DONE)
    assert spool.end_abandoned(path)
    state = read_from(path).records[-1]
    assert (state["state"], state["reason"].startswith("No space left in")) == ("failed", True)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_file_that_takes_less_than_it_is_given_gets_the_rest(tmp_path, monkeypatch):
    spec = RunSpec.new(Target(), small_sweep())
    with spool.SpoolWriter(spool.spool_path(tmp_path, spec.id)) as writer:
        real = writer._file

        class Short:
            def write(self, data):
                return real.write(data[:7])

            def __getattr__(self, name):
                return getattr(real, name)

        monkeypatch.setattr(writer, "_file", Short())
        writer.run(spec)
        writer.sample(a_sample(0))
    assert [record["type"] for record in read_from(writer.path).records] == ["run", "sample"]


def test_on_a_full_disk_a_run_still_says_how_it_ended_and_is_taken_in_later(small_disk, monkeypatch, tmp_path):
    monkeypatch.setattr(stores, "SHIPPED", tmp_path)
    spec, later = (RunSpec.new(Target(), small_sweep()) for _ in range(2))
    with Store(small_disk / "data.duckdb") as store:
        intake = Intake(store)
        with spool.SpoolWriter(spool.spool_path(store.spools, spec.id)) as writer:
            writer.run(spec)
            intake.look()
            filled = fill(small_disk)
            written = write_until_full(writer)
            writer.state(State.FAILED, "No space left.")
        fill(small_disk)
        with pytest.raises(NoSpaceError):
            spool.RunHold.of_new(spool.spool_path(store.spools, later.id), later, "dashboard")
        with pytest.raises((OSError, StoreFullError)):
            write_import(
                read_import(json.dumps({"results": [{"T_total": 1.0}] * 5000}).encode(), "a", store.spools),
                store.spools,
            )
        with pytest.raises(StoreFullError, match="No space left in"):
            store.rename(spec.id, "x" * 100)
            store.take_in_all()
        intake.look(everything=True)
        assert not intake.problem or intake.problem.startswith("No space left in")
        assert sorted(path.name for path in store.spools.iterdir()) == [f"{spec.id}.jsonl"]
        assert store.runs()["id"].tolist() == [spec.id]
        filled.unlink()
        intake.look(everything=True)
        assert intake.problem == ""
        run = store.run(spec.id)
        assert (run["state"], run["reason"], run["num_samples"]) == ("failed", "No space left.", written)
        store.rename(spec.id, "kept")
        spool.RunHold.of_new(spool.spool_path(store.spools, later.id), later, "dashboard").close()
        intake.look()
        assert store.run(later.id)["state"] == "queued"
    with Store(small_disk / "data.duckdb") as store:
        assert store.run(spec.id)["name"] == "kept"


def test_run_says_beforehand_when_little_space_is_left(tmp_path, small_disk):
    note = space_note(small_disk / "yet" / "to be made", [small_sweep()])
    assert note.startswith("Only 4 MB are left in")
    assert "free some" in note
    assert space_note(tmp_path, [small_sweep()]) == ""
    long = small_sweep("output_tokens", (200,), num_samples=10**12)
    assert "this may write" in space_note(tmp_path, [long])
