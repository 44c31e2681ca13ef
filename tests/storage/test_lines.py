"""A spool is read a part at a time: no file takes more memory than a part, whatever it is made of."""

import json
import tracemalloc

import pytest

from profcore.errors import FormatError
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage import lines, spool
from profcore.storage import store as stores
from profcore.storage.lines import each_record, read_from, read_lines, split_parts
from profcore.storage.store import Store
from profcore.storage.trial import check_spool
from tests.storage.test_store import a_sample
from tests.support import small_sweep

FIRST = json.dumps({"type": "run"}).encode()


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(lines, "PART", 1000)


def write_run(folder, samples):
    spec = RunSpec.new(Target(), small_sweep())
    path = spool.spool_path(folder, spec.id)
    with spool.SpoolWriter(path) as writer:
        writer.run(spec)
        for number in range(samples):
            writer.sample(a_sample(number))
        writer.state(State.DONE)
    return spec.id, path


def test_parts_make_the_whole(tmp_path, small_parts):
    _, path = write_run(tmp_path, 30)
    data = path.read_bytes()
    whole = [json.loads(line) for line in data.splitlines()]
    assert len(read_lines(path).records) < len(whole)
    assert list(each_record(path)) == whole == read_from(path).records
    assert [record for part in split_parts(data) for record in part] == whole
    assert read_from(path).offset == len(data)
    path.write_bytes(data + b'{"type": "st')
    assert read_from(path).offset == len(data)


def test_a_store_takes_in_what_has_more_than_a_part(tmp_path, small_parts, monkeypatch):
    (tmp_path / "samples").mkdir()
    monkeypatch.setattr(stores, "SHIPPED", tmp_path / "samples")
    with Store(tmp_path / "data.duckdb") as store:
        run_id, path = write_run(store.spools, 30)
        assert store.take_in(path) == 30
        assert store.run(run_id)["state"] == "done"
        assert store.take_in(path) == 0


def test_a_writer_that_is_as_fast_is_not_chased(tmp_path, small_parts, monkeypatch):
    with Store(tmp_path / "data.duckdb") as store:
        _, path = write_run(store.spools, 30)
        record = json.dumps({"type": "phase", "text": "x"})
        parts = []

        def read_and_write(given, offset=0):
            assert len(parts) < 100
            parts.append(offset)
            found = read_lines(given, offset)
            with path.open("a") as file:
                file.write(f"{record}\n" * 50)
            return found

        monkeypatch.setattr(stores, "read_lines", read_and_write)
        assert store.take_in(path) == 30


def test_a_line_too_long_is_left_out_and_what_follows_is_read(tmp_path, small_parts, monkeypatch):
    monkeypatch.setattr(lines, "_LONGEST", 5000)
    path = tmp_path / "a.jsonl"
    long, longer = (json.dumps({"type": "phase", "text": "x" * number}).encode() for number in (4000, 9000))
    path.write_bytes(b"\n".join([FIRST, longer, long, b"", FIRST, b""]))
    kinds = [record and record["type"] for record in each_record(path)]
    assert kinds == ["run", None, "phase", None, "run"]
    assert [record and record["type"] for part in split_parts(path.read_bytes()) for record in part] == kinds


BOMBS = {
    "one line of objects": b'{"type":"run","x":[' + b"{}," * 2_000_000 + b"{}]}\n",
    "no line": bytes(20_000_000),
    "empty lines": FIRST + b"\n" * 150_000,
    "lines of no kind": FIRST + b"\n" + b"[]\n" * 150_000,
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_refusal_takes_little_memory(what):
    data = BOMBS[what]
    tracemalloc.start()
    with pytest.raises(FormatError, match=r"not a spool|more than 100,000 lines"):
        check_spool(data, "upload")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6


def test_more_lines_than_a_person_would_look_for_are_refused(tmp_path):
    _, path = write_run(tmp_path, 2)
    with pytest.raises(FormatError, match="more than 100,000 lines"):
        check_spool(path.read_bytes() + b"\n" * 150_000, "upload")


def test_a_file_that_only_claims_to_be_large_is_not_read_whole(tmp_path):
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.truncate(2_500_000_000)
    tracemalloc.start()
    assert read_lines(path).records == [None]
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
