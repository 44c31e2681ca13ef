"""Files of questions that ask for far more than they are: refused, and without taking the memory that they ask for."""

import json
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from profcore.data_sets import DataSet, read_data_set
from profcore.errors import UserError
from profcore.images import rows
from profcore.images.rows import table_rows

MOST_MEMORY = 200_000_000


@pytest.fixture
def folder(tmp_path):
    Image.new("RGB", (60, 40), "red").save(tmp_path / "a.png")
    return tmp_path


def refused(data_set):
    """The sentence of a refusal that took no more memory than it may."""
    tracemalloc.start()
    try:
        with pytest.raises(UserError) as error:
            read_data_set(data_set)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken < MOST_MEMORY
    assert "\n" not in str(error.value)
    return str(error.value)


def vqa(folder, content):
    (folder / "q.json").write_bytes(content)
    return DataSet("vqa", str(folder), str(folder / "q.json"))


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 18_000_000,
        b'{"questions":' * 1_500_000,
        b'{"questions":[' + b"[],{}," * 3_000_000 + b"1]}",
        b'{"questions":[[' + b"[]," * 6_000_000 + b"1]]}",
        b'{"a":[' + b"1," * 9_000_000 + b'1],"questions":[]}',
        b'{"questions":[{"image_id":1,"question_id":1,"question":"' + b"x" * 18_000_000 + b'"}]}',
        b'{"questions":[{"image_id":1,"question_id":1,"question":' + b"[" * 200 + b"]" * 200 + b"}" + b" " * 17_000_000,
    ],
    ids=["deep", "deep in objects", "empty rows", "a row of many", "many elsewhere", "a long text", "nested"],
)
def test_json_that_would_fill_the_memory(folder, content):
    assert "q.json" in refused(vqa(folder, content))


def test_a_file_larger_than_may_be_read_is_not_opened_at_all(folder, monkeypatch):
    with (folder / "q.json").open("wb") as file:
        file.truncate(10**12)
    for name in ("q.json", "q.jsonl", "q.csv"):
        (folder / "q.json").rename(folder / name)
        kind = "vqa" if name == "q.json" else "folder"
        assert "at most 200 are read" in refused(DataSet(kind, str(folder), str(folder / name)))
        (folder / name).rename(folder / "q.json")
    monkeypatch.setenv("PROFCORE_LARGEST_FILE_MB", "1")
    assert "at most 1 are read" in refused(vqa(folder, b" " * 1_000_001))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("q.jsonl", b"{}\n" * 3_000_000, "no column of pictures"),
        ("q.jsonl", b"1\n" * 3_000_000, "no JSON objects"),
        ("q.jsonl", b"[" * 6_000_000, "letters"),
        ("q.csv", b"image,question\n" + b"a.png,x,y\n" * 1_000_000, "more columns"),
        ("q.csv", b"image,question\n" + b'"' + b"x" * 9_000_000, "letters|a quote"),
        ("q.csv", b"image,question\n" + b'"' + b"x\n" * 5_000_000, "a quote in line|lines"),
    ],
)
def test_rows_that_would_fill_the_memory(folder, name, content, says):
    (folder / name).write_bytes(content)
    assert re.search(says, refused(DataSet("folder", str(folder), name)))


def test_a_large_file_says_the_same_as_a_small_one(folder):
    rows = [{"image_id": "a", "question_id": number, "question": f"What is {number}?"} for number in range(20)]
    notes = [{"question_id": number, "answers": [{"answer": f"it is {number}"}] * 3} for number in range(20)]

    def read(padding):
        for name, items in (("questions", rows), ("annotations", notes)):
            padded = [{**item, "unused": padding} for item in items]
            (folder / f"{name}.json").write_text(json.dumps({"info": {"year": 2015}, name: padded}))
        return read_data_set(
            DataSet("vqa", str(folder), str(folder / "questions.json"), str(folder / "annotations.json"))
        )

    assert read("") == read("\U0001f600, [x] " * 3_000 + "x" * 850_000)
    assert read("").queries[7].answers == ("it is 7",) * 3


def test_the_content_of_a_file_is_in_no_error(folder):
    secret = "hunter2"
    for name, content in {
        "q.csv": f"{secret},{secret}\n1,2\n",
        "r.csv": f"{secret},b\n1,2\n",
        "s.csv": f'image,question\n"{secret}\n',
        "q.jsonl": f"{secret}\n",
        "r.jsonl": json.dumps({secret: secret}),
    }.items():
        (folder / name).write_text(content)
        assert secret not in refused(DataSet("folder", str(folder), name))
    for content in (secret, json.dumps({secret: [secret]}), json.dumps({"questions": [secret, {secret: secret}]})):
        assert secret not in refused(vqa(folder, content.encode()))


def equal_rows(text, number):
    """A column of equal texts, which Parquet keeps once."""
    return pa.DictionaryArray.from_arrays(np.zeros(number, "int32"), [text])


@pytest.mark.parametrize(
    ("length", "number", "says"),
    [
        (10, 1_000_001, "1,000,001 rows: at most"),
        (400_000, 2_000, "damaged|more than"),
        (2_000, 6_000, "more than 10 MB"),
    ],
)
def test_a_small_table_that_stands_for_a_large_one(folder, length, number, says, monkeypatch):
    monkeypatch.setenv("PROFCORE_LARGEST_FILE_MB", "20")
    table = pa.table({"image": equal_rows("a.png", number), "question": equal_rows("x" * length, number)})
    pq.write_table(table, folder / "t.parquet")
    assert (folder / "t.parquet").stat().st_size < 3_000_000
    assert re.search(says, refused(DataSet("table", str(folder / "t.parquet"))))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="nothing says what a process takes")
@pytest.mark.parametrize("kind", [pytest.param("parquet", marks=pytest.mark.long), "arrow"])
def test_what_unpacks_a_table_takes_no_memory_for_one_long_text(folder, kind, monkeypatch):
    table = pa.table({"image": ["a.png"], "question": pa.array(["x" * 300_000_000], pa.large_string())})
    path = folder / f"t.{kind}"
    if kind == "parquet":
        pq.write_table(table, path, compression="zstd", use_dictionary=False)
    else:
        with pa.ipc.new_stream(path, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(table)
    assert path.stat().st_size < 1_000_000
    taken = []

    class Child(rows._Child):
        def _end(self):
            if self._process:
                status = Path(f"/proc/{self._process.pid}/status").read_text()
                taken.extend(re.findall(r"VmHWM:\s+(\d+)", status))
            super()._end()

    child = Child()
    monkeypatch.setattr(rows, "_CHILD", child)
    assert "beyond all bounds" in refused(DataSet("table", str(path)))
    child._end()
    assert int(taken[0]) * 1024 < MOST_MEMORY


def test_a_table_that_ends_its_reader_ends_nothing_else(folder, shared):
    pq.write_table(pa.table({"image": ["a.png"], "question": ["What?"]}), folder / "t.parquet")
    for _ in range(2):
        refused(DataSet("table", str(shared / "cases" / "data-sets" / "damaged-arrow" / "sigsegv.arrow")))
        assert len(read_data_set(DataSet("table", str(folder / "t.parquet"))).queries) == 1


def test_reading_a_table_half_leaves_nothing_for_the_next(folder):
    for name, number in (("one", 3000), ("two", 3)):
        table = pa.table({"image": ["a.png"] * number, "question": [f"{name} {row}" for row in range(number)]})
        pq.write_table(table, folder / f"{name}.parquet")
    rows = table_rows(folder / "one.parquet", ["question"])
    assert next(rows) == {"question": "one 0"}
    rows.close()
    assert [row["question"] for row in table_rows(folder / "two.parquet", ["question"])] == ["two 0", "two 1", "two 2"]
    assert len(list(table_rows(folder / "one.parquet", ["question"]))) == 3000
