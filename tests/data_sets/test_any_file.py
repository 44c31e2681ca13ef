"""Whatever a file holds, a reader of data sets gives its rows or one sentence, and never anything else."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from profcore.data_sets import DataSet, read_data_set
from profcore.errors import ImageError, UserError
from profcore.images.pictures import open_picture, picture_size

FEW = settings(max_examples=60, deadline=None, derandomize=True)
MANY = settings(max_examples=3000, deadline=None, derandomize=True)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["a.png", "a", "../a.png", "", "\ud800", "a\0", 10**400, "x" * 5000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["answer", "text", "x"]), inner),
    max_leaves=4,
)
FIELDS = st.sampled_from(
    ["image", "path", "question", "text", "answer", "answers", "multiple_choice_answer", "image_id", "question_id"]
)
ROWS = st.lists(
    st.dictionaries(FIELDS, VALUES, max_size=4).map(lambda row: {"image": "a.png", "question": "?", **row}), max_size=4
)
MUTATIONS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("pictures")
    Image.new("RGB", (60, 40), "red").save(place / "a.png")
    return place


def mutated(data, mutations, cut):
    """The data with some bytes replaced, and what follows a place cut off."""
    changed = bytearray(data)
    for place, byte in mutations:
        changed[int(place * len(changed))] = byte
    return bytes(changed[: int(cut * len(changed)) if cut is not None else None])


def gives_rows_or_a_sentence(data_set):
    try:
        found = read_data_set(data_set)
    except UserError as error:
        assert str(error)
        assert "\n" not in str(error)
        str(error).encode()
        return
    assert found.queries
    # What a run keeps of it is text that any file can hold.
    json.dumps(found.to_dict(), ensure_ascii=False).encode()
    for query in found.queries:
        assert query.question.strip()
        assert min(query.width, query.height) > 0
        assert all(answer.strip() for answer in query.answers)


CUTS = st.none() | st.floats(0, 1)
TEXTS = st.text(st.sampled_from('a.png,"?\n\r\u2028 image question'), max_size=60)


def jsonl(folder, rows, mutations, cut):
    data = "\n".join(map(json.dumps, rows)).encode()
    (folder / "q.jsonl").write_bytes(mutated(data, mutations if data else [], cut))
    gives_rows_or_a_sentence(DataSet("folder", str(folder), "q.jsonl"))


def csv(folder, text, cut):
    (folder / "q.csv").write_bytes(mutated(f"image,question,answer\na.png,?,1\n{text}".encode(), [], cut))
    gives_rows_or_a_sentence(DataSet("folder", str(folder), "q.csv"))


def vqa(folder, rows, annotations, mutations, cut):
    rows = [{"image_id": "a", "question_id": 1, **row} for row in rows]
    (folder / "q.json").write_bytes(mutated(json.dumps({"questions": rows}).encode(), mutations, cut))
    (folder / "a.json").write_text(json.dumps({"annotations": [{"question_id": 1, **row} for row in annotations]}))
    gives_rows_or_a_sentence(DataSet("vqa", str(folder), str(folder / "q.json"), str(folder / "a.json")))


def table(folder, kind, mutations, cut):
    content = (folder / "a.png").read_bytes()
    columns = {
        "image": [{"bytes": content, "path": None}, {"bytes": None, "path": "a.png"}, None],
        "question": ["what", None, "is it?"],
        "answers": [["a", "b"], [], None],
        "question_id": [1, None, 3],
    }
    path = folder / f"t.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table(columns), path)
    else:
        made = pa.table(columns)
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, made.schema) as writer:
            writer.write_table(made)
    path.write_bytes(mutated(path.read_bytes(), mutations, cut))
    gives_rows_or_a_sentence(DataSet("table", str(path)))


def picture(folder, kind, mutations, cut):
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    path = folder / f"p.{kind}"
    Image.fromarray(noise).save(path)
    path.write_bytes(mutated(path.read_bytes(), mutations, cut))
    try:
        size = picture_size(path)
    except ImageError as error:
        assert "\n" not in str(error)
    else:
        assert open_picture(path).size == size


def make_tests(examples, few_tables):
    """The tests, each over that many examples; tables take a process each."""

    class Tests:
        @examples
        @given(rows=ROWS, mutations=MUTATIONS, cut=CUTS)
        def test_jsonl(self, folder, rows, mutations, cut):
            jsonl(folder, rows, mutations, cut)

        @examples
        @given(text=TEXTS, cut=CUTS)
        def test_csv(self, folder, text, cut):
            csv(folder, text, cut)

        @examples
        @given(rows=ROWS, annotations=ROWS, mutations=MUTATIONS, cut=CUTS)
        def test_vqa(self, folder, rows, annotations, mutations, cut):
            vqa(folder, rows, annotations, mutations, cut)

        @examples
        @given(mutations=MUTATIONS, cut=CUTS)
        def test_parquet(self, folder, mutations, cut):
            table(folder, "parquet", mutations, cut)

        @few_tables
        @given(mutations=MUTATIONS, cut=st.none())
        def test_arrow(self, folder, mutations, cut):
            table(folder, "arrow", mutations, cut)

        @examples
        @given(kind=st.sampled_from(["jpg", "png", "webp", "gif", "tif", "bmp"]), mutations=MUTATIONS, cut=CUTS)
        def test_pictures(self, folder, kind, mutations, cut):
            picture(folder, kind, mutations, cut)

    return Tests


TestFew = make_tests(FEW, settings(max_examples=6, deadline=None, derandomize=True))
TestMany = pytest.mark.long(make_tests(MANY, settings(max_examples=60, deadline=None, derandomize=True)))
