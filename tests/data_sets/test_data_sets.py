"""Every kind of data set, made small here in the published layouts."""

import csv
import json

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from profcore.data_sets import DataSet, read_data_set
from profcore.data_sets.photographs import QUESTIONS
from profcore.errors import UserError
from profcore.images.pictures import PHOTOS, load_picture

COLOURS = {"red": (400, 300), "green": (200, 500), "blue": (640, 480)}


def picture(colour, size):
    return Image.new("RGB", size, colour)


@pytest.fixture
def folder(tmp_path):
    """Three pictures, one file that is none, and questions about them and one more that is missing."""
    place = tmp_path / "pictures"
    (place / "below").mkdir(parents=True)
    picture("red", COLOURS["red"]).save(place / "red.png")
    picture("green", COLOURS["green"]).save(place / "below" / "green.jpg")
    picture("blue", COLOURS["blue"]).save(place / "blue.webp")
    (place / "broken.jpg").write_bytes(b"no picture")
    rows = [("red.png", "What colour?"), ("below/green.jpg", "And this?"), ("broken.jpg", "?"), ("gone.png", "?")]
    with (place / "questions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "question"), *rows])
    return place


@pytest.fixture
def vqa(tmp_path):
    """VQA v2 as published: questions, annotations with ten answers, COCO's file names."""
    place = tmp_path / "val2014"
    place.mkdir()
    for number, (colour, size) in enumerate(COLOURS.items(), start=1):
        picture(colour, size).save(place / f"COCO_val2014_{number:012d}.jpg")
    questions = [
        {"image_id": 1, "question": "What colour is it?", "question_id": 1000},
        {"image_id": 1, "question": "Is it red?", "question_id": 1001},
        {"image_id": 3, "question": "And this?", "question_id": 3000},
        {"image_id": 262148, "question": "Where?", "question_id": 262148000},
    ]
    annotations = [
        {
            "question_id": each["question_id"],
            "image_id": each["image_id"],
            "multiple_choice_answer": "red",
            "answers": [{"answer": "red", "answer_confidence": "yes", "answer_id": number} for number in range(1, 11)],
        }
        for each in questions[:2]
    ]
    head = {"info": {}, "data_type": "mscoco", "data_subtype": "val2014", "license": {}}
    (tmp_path / "q.json").write_text(json.dumps({**head, "task_type": "Open-Ended", "questions": questions}))
    (tmp_path / "a.json").write_text(json.dumps({**head, "annotations": annotations}))
    return DataSet("vqa", str(place), str(tmp_path / "q.json"), str(tmp_path / "a.json"))


@pytest.fixture
def table():
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "question": datasets.Value("string"),
            "answers": datasets.List(datasets.Value("string")),
        }
    )
    return datasets.Dataset.from_dict(
        {
            "image": [picture(colour, size) for colour, size in COLOURS.items()],
            "question": [f"Is it {colour}?" for colour in COLOURS],
            "answers": [["yes", "so it is"]] * 3,
        },
        features=features,
    )


def test_the_built_in_photographs_need_no_file_and_have_questions_of_their_own():
    found = read_data_set(DataSet())
    assert len(found.queries) == 2 * len(PHOTOS) == 2 * len(QUESTIONS) == 36
    assert not found.skipped
    assert len({query.question for query in found.queries}) == 36
    for query in found.queries[::6]:
        assert load_picture(query.picture).size == (query.width, query.height)


def test_vqa_has_its_questions_answers_and_pictures_by_id(vqa):
    found = read_data_set(vqa)
    assert [(q.image_id, q.query_id) for q in found.queries] == [("1", "1000"), ("1", "1001"), ("3", "3000")]
    assert [(q.width, q.height) for q in found.queries] == [(400, 300), (400, 300), (640, 480)]
    assert found.queries[0].answers == ("red",) * 10
    assert found.queries[2].answers == ()
    assert [(each.name, "no picture" in each.reason.lower()) for each in found.skipped] == [("262148", True)]


def test_a_folder_with_a_csv_or_jsonl_passes_over_broken_and_missing_pictures(folder):
    found = read_data_set(DataSet("folder", str(folder)))
    assert [query.image_id for query in found.queries] == ["red.png", "below/green.jpg"]
    assert [(query.width, query.height) for query in found.queries] == [(400, 300), (200, 500)]
    assert [each.name for each in found.skipped] == ["broken.jpg", "gone.png"]
    assert "is not a picture" in found.skipped[0].reason
    lines = [{"file_name": "blue.webp", "prompt": "Which?", "answer": "blue", "question_id": 7}]
    (folder / "q.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    (query,) = read_data_set(DataSet("folder", str(folder), questions="q.jsonl")).queries
    assert (query.question, query.answers, query.query_id) == ("Which?", ("blue",), "7")


@pytest.mark.parametrize("layout", ["parquet", "saved", "row groups"])
def test_tables_of_the_datasets_library(tmp_path, table, layout):
    path = tmp_path / "data.parquet"
    if layout == "parquet":
        table.to_parquet(path)
    elif layout == "saved":
        path = tmp_path / "saved"
        table.save_to_disk(path)
    else:
        table.to_parquet(path)
        pq.write_table(pq.read_table(path), path, row_group_size=2)
    found = read_data_set(DataSet("table", str(path)))
    assert [query.question for query in found.queries] == [f"Is it {colour}?" for colour in COLOURS]
    assert [(query.width, query.height) for query in found.queries] == list(COLOURS.values())
    assert found.queries[0].answers == ("yes", "so it is")
    last = np.asarray(load_picture(found.queries[2].picture))
    assert last.shape == (480, 640, 3)
    assert last[0, 0].tolist() == [0, 0, 255]


def test_splits_are_chosen_and_never_mixed(tmp_path, table):
    datasets.DatasetDict({"train": table, "validation": table.select([1])}).save_to_disk(tmp_path / "saved")
    with pytest.raises(UserError, match="several splits: choose one of train, validation"):
        read_data_set(DataSet("table", str(tmp_path / "saved")))
    assert len(read_data_set(DataSet("table", str(tmp_path / "saved"), split="validation")).queries) == 1
    hub = tmp_path / "hub" / "data"
    hub.mkdir(parents=True)
    table.to_parquet(hub / "train-00000-of-00002.parquet")
    table.to_parquet(hub / "train-00001-of-00002.parquet")
    table.select([0]).to_parquet(hub / "test-00000-of-00001.parquet")
    assert len(read_data_set(DataSet("table", str(tmp_path / "hub"), split="train")).queries) == 6
    with pytest.raises(UserError, match="no split 'dev': choose from test, train"):
        read_data_set(DataSet("table", str(tmp_path / "hub"), split="dev"))


def test_a_table_may_hold_bytes_or_the_names_of_files_beside_it(tmp_path, folder):
    data = (folder / "red.png").read_bytes()
    columns = {"image": [data, b"no picture"], "question": ["a", "b"]}
    pq.write_table(pa.table(columns), tmp_path / "bytes.parquet")
    found = read_data_set(DataSet("table", str(tmp_path / "bytes.parquet")))
    assert [(query.width, query.height) for query in found.queries] == [(400, 300)]
    assert found.skipped[0].reason.startswith("'the picture of row 2' is not a picture")
    columns = {"image": ["red.png", "../../outside.png", "gone.png"], "question": ["a", "b", "c"]}
    pq.write_table(pa.table(columns), folder / "names.parquet")
    found = read_data_set(DataSet("table", str(folder / "names.parquet")))
    assert [query.width for query in found.queries] == [400]
    assert ["nor the name of one beside it" in each.reason for each in found.skipped] == [True, False]


def test_a_limit_draws_at_random_and_makes_up_for_what_is_skipped(folder):
    rows = [{"image": name, "question": str(n)} for n in range(20) for name in ("red.png", "gone.png")]
    (folder / "many.jsonl").write_text("\n".join(map(json.dumps, rows)))

    def draw(seed):
        found = read_data_set(DataSet("folder", str(folder), questions="many.jsonl", limit=8, seed=seed))
        return [query.question for query in found.queries]

    assert len(draw(0)) == 8
    assert draw(0) == draw(0) != draw(1)


class TestBadInput:
    """One sentence each, and nothing is read further."""

    def refused(self, data_set, says):
        with pytest.raises(UserError, match=says) as error:
            read_data_set(data_set)
        assert "\n" not in str(error.value)

    def test_nothing_there(self, tmp_path, folder):
        self.refused(DataSet("cats"), "no data set kind 'cats'")
        self.refused(DataSet("folder"), "Name where the pictures are")
        self.refused(DataSet("folder", "/no/where"), "nothing at '/no/where'")
        self.refused(DataSet("folder", str(folder / "red.png")), "is a file: give the folder")
        self.refused(DataSet("photographs", limit=0), "0 pictures measure nothing")
        (tmp_path / "empty").mkdir()
        self.refused(DataSet("folder", str(tmp_path / "empty")), "holds no picture")
        self.refused(DataSet("table", str(tmp_path / "empty")), "holds no table")

    def test_questions_without_pictures(self, folder, vqa):
        (folder / "q.csv").write_text("image,question\ngone.png,What?\n")
        self.refused(DataSet("folder", str(folder), "q.csv"), "none of its 1 questions has a picture.* no picture")
        (folder / "none.csv").write_text("image,question\n")
        self.refused(DataSet("folder", str(folder), "none.csv"), "holds no question")
        (folder / "questions.csv").unlink()
        self.refused(DataSet("folder", str(folder)), "no file of questions")

    def test_columns_and_rows_are_named(self, folder):
        (folder / "q.csv").write_text("name,question\nred.png,What?\n")
        self.refused(DataSet("folder", str(folder), "q.csv"), "q.csv has no column of pictures: call it image or")
        (folder / "q.csv").write_text("image,what\nred.png,What?\n")
        self.refused(DataSet("folder", str(folder), "q.csv"), "no column of questions: call it question or")
        (folder / "q.csv").write_text("image,question\nred.png,What?\n,And?\nred.png,\n")
        self.refused(DataSet("folder", str(folder), "q.csv"), "rows 2, 3 lack a picture or a question")
        (folder / "q.jsonl").write_text('{"image": "red.png", "question": "?"}\noops\n[1]\n')
        self.refused(DataSet("folder", str(folder), "q.jsonl"), "lines 2, 3 are no JSON objects")
        (folder / "q.csv").write_bytes(b"\xff\xfe\x00")
        self.refused(DataSet("folder", str(folder), "q.csv"), "no text file")

    def test_paths_outside_of_the_folder(self, folder, vqa, tmp_path):
        (folder / "q.csv").write_text("image,question\nred.png,What?\n../../etc/passwd,What?\n/etc/passwd,What?\n")
        self.refused(DataSet("folder", str(folder), "q.csv"), "rows 2, 3 name a picture outside")
        document = json.loads((tmp_path / "a.json").read_text())
        document["annotations"][1]["image"] = "../../secret.png"
        (tmp_path / "a.json").write_text(json.dumps(document))
        self.refused(vqa, "rows 2 name a picture outside")

    def test_vqa_files_of_another_kind(self, vqa, tmp_path):
        questions = tmp_path / "q.json"
        self.refused(DataSet("vqa", vqa.path), "Name the file of questions")
        self.refused(DataSet("vqa", vqa.path, str(tmp_path / "none.json")), "cannot be read")
        questions.write_text("no json")
        self.refused(vqa, "is not JSON")
        questions.write_text(json.dumps({"annotations": []}))
        self.refused(vqa, "needs a list called questions")
        questions.write_text(json.dumps({"questions": []}))
        self.refused(vqa, "holds no questions")
        questions.write_text(json.dumps({"questions": [{"image_id": 1}, 3]}))
        self.refused(vqa, "rows 1, 2 of questions lack one of the fields")

    def test_tables_of_another_kind(self, tmp_path):
        pq.write_table(pa.table({"image": [b""], "answer": ["x"]}), tmp_path / "t.parquet")
        self.refused(DataSet("table", str(tmp_path / "t.parquet")), "t.parquet has no column of questions: call it")
        (tmp_path / "t.parquet").write_bytes(b"no parquet")
        self.refused(DataSet("table", str(tmp_path / "t.parquet")), "cannot be read as a table")
