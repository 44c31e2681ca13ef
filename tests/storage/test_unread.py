"""Whatever lies in the spool folder: each file is read by itself, and what cannot be is remembered and said."""

import json
import logging
import os
import random
import time

import pytest

from profcore.errors import FormatError
from profcore.export import archive
from profcore.results.base import run_titles
from profcore.results.pictures import load_picture_result
from profcore.results.sweep import load_result
from profcore.service.intake import Intake
from profcore.service.words import environment_line, unread_line
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage import rebuild as rebuilding
from profcore.storage import spool
from profcore.storage import store as stores
from profcore.storage.spool import run_record
from profcore.storage.store import Store
from profcore.storage.trial import check_spool
from profcore.worker.queue import Jobs
from tests.storage.test_any_spool import RECORDS
from tests.storage.test_database_states import add_run, as_somebody_else, let_all_in
from tests.support import FAKE, ROOT, small_sweep

OLD = 1_600_000_000
SPEC = RunSpec.new(Target(), small_sweep())
FIRST = json.dumps(run_record(SPEC))
NEWER = {
    "experiment": FIRST.replace("moe_topk", "moe_depth"),
    "grid": FIRST.replace('"grid": [1, 1]', '"grid": [9, 9, 9]'),
    "kind of record": json.dumps({"type": "campaign", "runs": []}),
    "state": FIRST,
}
HOPELESS = {
    "nothing": b"",
    "zeros": bytes(4096),
    "half a line": FIRST[:80].encode(),
    "text": b"hello\nworld\n",
    "list": b"[1]\n",
}


@pytest.fixture
def store(tmp_path, monkeypatch):
    (tmp_path / "samples").mkdir()
    monkeypatch.setattr(stores, "SHIPPED", tmp_path / "samples")
    with Store(tmp_path / "data.duckdb") as opened:
        opened.spools.mkdir(exist_ok=True)
        yield opened


def settle(path):
    """Make a file one that nobody has touched for long."""
    os.utime(path, (OLD, OLD))
    return path


@pytest.mark.parametrize("what", HOPELESS)
def test_what_no_version_could_read_is_renamed_once_nobody_writes_it(store, what):
    path = store.spools / "aaa.jsonl"
    path.write_bytes(HOPELESS[what])
    run_id = add_run(store.spools)
    assert store.take_in_all() == 3
    assert list(store.unread_files()) == ["aaa.jsonl"]
    settle(path)
    with spool.SpoolWriter(path) if what == "text" else path.open("rb"):
        settle(path)
        store.take_in_all()
        assert path.exists() == (what == "text")
    store.take_in_all()
    assert list(store.unread_files()) == ["aaa.jsonl.bad"]
    assert (store.spools / "aaa.jsonl.bad").read_bytes() == HOPELESS[what]
    path.write_bytes(b"again\n")
    settle(path)
    store.take_in_all()
    assert sorted(store.unread_files()) == ["aaa.jsonl.2.bad", "aaa.jsonl.bad"]
    assert store.run(run_id)["num_samples"] == 3


@pytest.mark.parametrize("what", NEWER)
def test_what_another_version_may_read_keeps_its_name(store, what):
    path = store.spools / ("aaa.jsonl" if what != "state" else f"{SPEC.id}.jsonl")
    more = json.dumps({"type": "state", "state": "dreaming", "at": "2026-01-01T00:00:00+00:00"})
    path.write_text(f"{NEWER[what]}\n{more}\n")
    settle(path)
    store.take_in_all()
    store.take_in_all()
    assert path.exists()
    if what == "state":
        assert store.left_out() == {SPEC.id: 1}
    else:
        assert list(store.unread_files()) == ["aaa.jsonl"]


@pytest.mark.parametrize("settled", [False, True], ids=["new", "long there"])
def test_folders_pipes_links_and_files_without_permission_stop_nothing(store, settled):
    for name in ("folder", "pipe", "loop", "null", "dangling"):
        path = store.spools / f"{name}.jsonl"
        {
            "folder": path.mkdir,
            "pipe": lambda path=path: os.mkfifo(path),
            "loop": lambda path=path: path.symlink_to(path),
            "null": lambda path=path: path.symlink_to("/dev/zero"),
            "dangling": lambda path=path: path.symlink_to("nowhere"),
        }[name]()
        if settled and name in ("folder", "pipe"):
            settle(path)
    secret = store.spools / f"{add_run(store.spools)}.jsonl"
    settle(secret)
    secret.chmod(0)
    run_id = add_run(store.spools)
    let_all_in(store.spools)
    with as_somebody_else():
        store.take_in_all()
        assert {"folder.jsonl", "pipe.jsonl", "null.jsonl", secret.name} <= set(store.unread)
        assert "Permission denied" in store.unread[secret.name]
    assert store.run(run_id)["num_samples"] == 3
    assert not list(store.spools.glob("*.bad"))
    secret.chmod(0o600)
    assert store.take_in_all() == 3
    assert secret.name not in store.unread


def test_a_name_that_is_no_text_keeps_no_other_out(store, capsys):
    (store.spools / os.fsdecode(b"a\xff.jsonl")).write_text(f"{FIRST}\n")
    run_id = add_run(store.spools)
    intake = Intake(store)
    intake.look(everything=True)
    assert not intake.problem
    assert store.run(run_id)["num_samples"] == 3
    (reason,) = store.unread_files().values()
    assert "rename it" in reason
    print(reason)
    rebuilding.rebuild_open(store)
    assert store.run(run_id)["num_samples"] == 3


@pytest.mark.parametrize("other", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
def test_a_run_whose_spool_was_replaced_by_what_cannot_be_read_can_still_be_removed(store, other):
    run_id, path = SPEC.id, spool.spool_path(store.spools, SPEC.id)
    with spool.SpoolWriter(path) as writer:
        writer.run(SPEC)
        writer.state(State.RUNNING)
    store.take_in_all()
    path.unlink()
    other(path)
    store.take_in_all()
    store.end_abandoned()
    store.remove(run_id)
    assert store.run(run_id) is None


def test_a_worker_can_be_started_whatever_lies_in_the_folder(store, monkeypatch):
    for name, content in {**HOPELESS, **NEWER, "deep": "[" * 10**5 + "\n"}.items():
        path = store.spools / f"{name}.jsonl"
        path.write_bytes(content) if isinstance(content, bytes) else path.write_text(f"{content}\n")
    os.mkfifo(store.spools / "pipe.jsonl")
    (store.spools / "folder.jsonl").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    jobs = Jobs(store.spools, FAKE)
    assert [device["id"] for device in jobs.devices()] == ["cpu"]
    jobs.close()


def test_the_same_reason_is_logged_once_however_often_it_is_looked_at(store, caplog):
    (store.spools / "aaa.jsonl").write_text("oops\n")
    (store.spools / "folder.jsonl").mkdir()
    intake = Intake(store)
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            intake.look(everything=True)
    assert len(caplog.records) == 2
    assert intake.problem == ""


def test_a_file_that_raises_what_nobody_foresaw_keeps_no_other_out(store, monkeypatch, caplog):
    real = stores.read_lines
    bad = store.spools / "aaa.jsonl"
    bad.write_text("{}\n")
    run_id = add_run(store.spools)

    def read(path, offset=0):
        if path == bad:
            raise RuntimeError("unforeseen")
        return real(path, offset)

    monkeypatch.setattr(stores, "read_lines", read)
    intake = Intake(store)
    intake.look()
    intake.look(everything=True)
    assert store.unread == {"aaa.jsonl": "aaa.jsonl cannot be read (RuntimeError)."}
    assert store.run(run_id)["num_samples"] == 3
    assert len([each for each in caplog.records if "cannot be read" in each.message]) == 1
    bad.unlink()
    intake.look(everything=True)
    assert store.unread_files() == {}


def test_a_quiet_spool_that_grows_again_is_taken_in(store):
    run_id = add_run(store.spools)
    path = settle(spool.spool_path(store.spools, run_id))
    clock = [float(OLD)]
    intake = Intake(store, now=lambda: clock[0])
    intake.look()
    clock[0] += 1000
    intake.look()
    with path.open("a") as file:
        file.write(json.dumps(RECORDS[3] | {"sample_id": 77}) + "\n")
    intake.look()
    clock[0] += 10
    intake.look()
    assert store.run(run_id)["num_samples"] == 4


def test_what_grows_while_a_database_is_made_anew_is_in_the_new_one(store, monkeypatch):
    run_id = add_run(store.spools)
    intake = Intake(store)
    intake.look()

    def grow_into_the_old_one():
        with spool.spool_path(store.spools, run_id).open("a") as file:
            file.write(json.dumps(RECORDS[3] | {"sample_id": 77}) + "\n")
        intake.look(everything=True)
        close()

    close = store.connection.close
    monkeypatch.setattr(store.connection, "close", grow_into_the_old_one)
    rebuilding.rebuild_open(store)
    intake.look()
    assert store.run(run_id)["num_samples"] == 4


def test_the_sentence_names_the_first_file_and_counts_the_rest():
    assert unread_line({}, 0, 0) == ""
    one = {"a.jsonl": "its first line holds no run"}
    said = "A file of the spool folder cannot be read: a.jsonl: its first line holds no run."
    assert unread_line(one, 0, 0) == said
    assert unread_line({"a.jsonl": "a.jsonl is a folder."}, 0, 0).endswith("cannot be read: a.jsonl is a folder.")
    two = {**one, "b.jsonl": "it is empty"}
    rest = "1 more file cannot be read and 1 line was left out of 1 run: python -m profcore unread lists them."
    assert unread_line(two, 1, 1) == f"{said} {rest}"
    assert unread_line({}, 3000, 2).startswith("3,000 lines were left out of 2 runs")
    assert len(unread_line({"x" * 5000: "it is no spool"}, 0, 0)) < 260


def mutated(number, whole):
    """A spool with bytes changed, cut, doubled or put in elsewhere; the same for the same number."""
    chance = random.Random(number)
    data = bytearray(whole)
    for _ in range(chance.choice([1, 1, 3, 10])):
        if not data:
            break
        begin = chance.randrange(len(data))
        end = min(begin + chance.choice([1, 2, 8, 100]), len(data))
        what = chance.choice(["flip", "cut", "end", "double", "number", "text"])
        if what == "flip":
            data[begin] ^= 1 << chance.randrange(8)
        elif what == "cut":
            del data[begin:end]
        elif what == "end":
            del data[begin:]
        elif what == "double":
            data[begin:begin] = data[begin:end]
        else:
            values = [b"1e999", b"-1", b"NaN", b"9" * 30, b"null", b"[]", b"{}", b'"\\ud800"', b'"0001-01-01"', b"true"]
            colon = data.find(b":", begin)
            if colon >= 0:
                stop = min((at for at in (data.find(b",", colon), data.find(b"}", colon)) if at > 0), default=colon + 1)
                data[colon + 1 : stop] = chance.choice(values)
    return bytes(data)


WHOLE = "".join(f"{json.dumps(record)}\n" for record in [run_record(SPEC), *RECORDS]).encode()
IMPORTED = "".join(
    f"{json.dumps(record)}\n"
    for record in [
        {
            "type": "import",
            "name": "results.json",
            "created_at": "2026-01-01T00:00:00+00:00",
            "experiment": "moe_topk",
            "settings": [{"top_k": 1}, {"top_k": 2}],
            "details": {"zeros": 0},
            "spec": None,
        },
        *RECORDS[:1],
        *RECORDS[3:7],
    ]
).encode()


def look_at_mutations(store, numbers):
    """Take in spools that were damaged, and ask of each what a page would."""
    healthy = add_run(store.spools)
    stems = {}
    for number in numbers:
        whole, stem = (WHOLE, f"{SPEC.id}-{number}") if number % 3 else (IMPORTED, f"import-{number}")
        stems[number] = stem
        whole = whole.replace(SPEC.id.encode(), stem.encode())
        spool.spool_path(store.spools, stem).write_bytes(mutated(number, whole))
    store.take_in_all()
    for number, stem in stems.items():
        known = store.run(stem)
        assert (known is None) == (f"{stem}.jsonl" in store.unread), number
        if known:
            result = load_result(store, stem) or load_picture_result(store, stem)
            assert len(result.samples) == known["num_samples"] <= 4, number
            assert environment_line(known["environment"], State(known["state"]))
            if number % 10 == 0:
                assert archive.run_result_files(store, result) or result.samples.empty, number
    assert not run_titles(store.run_list()).isna().any()
    assert store.run(healthy)["num_samples"] == 3
    assert store.take_in_all() == 0
    return stems


@pytest.mark.long
def test_damaged_spools_stop_nothing(store):
    look_at_mutations(store, range(30))


@pytest.mark.long
def test_damaged_spools_at_length(store):
    end = time.monotonic() + 90
    for begin in range(1000, 6000, 250):
        for stem in look_at_mutations(store, range(begin, begin + 250)).values():
            spool.spool_path(store.spools, stem).unlink()
        if time.monotonic() > end:
            break


@pytest.mark.parametrize("field", ["num_samples", "warmup", "seed"])
def test_a_number_beyond_all_bounds_is_no_run(field):
    record = spool.run_record(RunSpec.new(Target(), small_sweep()))
    record["sweep"][field] = float("inf")
    with pytest.raises(FormatError, match="not a spool this version reads"):
        check_spool(json.dumps(record).encode() + b"\n", "upload")
