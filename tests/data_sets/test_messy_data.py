"""Data sets as they are found: ids, answers, names and files of every form that readers must not stumble over."""

import json
import unicodedata

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from profcore.data_sets import DataSet, read_data_set
from profcore.errors import UserError


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "pictures"
    place.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (60, 40), "red").save(place / name)
    return place


def ask(folder, *rows, **options):
    """The queries of JSONL rows, each about a.png unless it says otherwise."""
    lines = [json.dumps({"image": "a.png", "question": "What?", **row}) for row in rows]
    (folder / "q.jsonl").write_text("\n".join(lines))
    return read_data_set(DataSet("folder", str(folder), "q.jsonl", **options))


def ask_csv(folder, text):
    (folder / "q.csv").write_bytes(text.encode())
    return read_data_set(DataSet("folder", str(folder), "q.csv"))


def ask_table(path, columns, **options):
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), path)
    return read_data_set(DataSet("table", str(path), **options))


def ask_vqa(folder, questions, annotations=None):
    (folder.parent / "q.json").write_text(json.dumps({"questions": questions}))
    if annotations is None:
        return read_data_set(DataSet("vqa", str(folder), str(folder.parent / "q.json")))
    (folder.parent / "a.json").write_text(json.dumps({"annotations": annotations}))
    return read_data_set(DataSet("vqa", str(folder), str(folder.parent / "q.json"), str(folder.parent / "a.json")))


def png(colour="blue"):
    import io

    file = io.BytesIO()
    Image.new("RGB", (60, 40), colour).save(file, "PNG")
    return file.getvalue()


class TestAnswers:
    @pytest.mark.parametrize(
        ("written", "read"),
        [
            (3, ("3",)),
            (0, ("0",)),
            (3.0, ("3",)),
            (2.5, ("2.5",)),
            (True, ("true",)),
            (None, ()),
            ("", ()),
            ("  ", ()),
            (["yes", "", None, 4], ("yes", "4")),
            ([{"answer": "red"}, {"answer": 2}, {"answer": ""}], ("red", "2")),
            ({"text": ["in 1990", "1990"], "answer_start": [3, 6]}, ("in 1990", "1990")),
            ([{"text": "a"}, {"other": 1}], ("a",)),
        ],
    )
    def test_of_every_form_in_jsonl(self, folder, written, read):
        (query,) = ask(folder, {"answer": written}).queries
        assert query.answers == read

    def test_of_tables(self, tmp_path):
        columns = {"image": [png()] * 4, "question": ["a", "b", "c", "d"], "answer": [3, None, 0, 12]}
        found = ask_table(tmp_path / "t.parquet", columns)
        assert [query.answers for query in found.queries] == [("3",), (), ("0",), ("12",)]
        squad = [{"text": ["x", "y"], "answer_start": [1, 2]}, {"text": [], "answer_start": []}]
        found = ask_table(tmp_path / "t.parquet", {"image": [png()] * 2, "question": ["a", "b"], "answers": squad})
        assert [query.answers for query in found.queries] == [("x", "y"), ()]

    def test_of_vqa(self, folder):
        questions = [{"image_id": "a", "question": "?", "question_id": number} for number in range(4)]
        annotations = [
            {"question_id": 0, "multiple_choice_answer": 3},
            {"question_id": "1", "answers": [], "multiple_choice_answer": "yes"},
            {"question_id": 2.0, "answers": [{"answer": 7}, {"answer": " "}]},
            {"question_id": 3, "multiple_choice_answer": ""},
        ]
        found = ask_vqa(folder, questions, annotations)
        assert [query.answers for query in found.queries] == [("3",), ("yes",), ("7",), ()]

    def test_fields_are_looked_for_in_every_row(self, folder):
        (folder / "q.jsonl").write_text(
            '{"image": "a.png", "question": "one"}\n'
            '{"file_name": "b.png", "prompt": "two", "answer": "2"}\n'
            '{"image": "b.png", "question": "three", "answers": ["3"], "answer": "no"}'
        )
        found = read_data_set(DataSet("folder", str(folder), "q.jsonl"))
        assert [(q.image_id, q.question, q.answers) for q in found.queries] == [
            ("a.png", "one", ()),
            ("b.png", "two", ("2",)),
            ("b.png", "three", ("3",)),
        ]


class TestIds:
    @pytest.mark.parametrize(
        ("written", "read"),
        [(0, "0"), (None, "1"), (42.0, "42"), ("000000000042", "000000000042"), ([1, 2], "[1, 2]"), ("", "1")],
    )
    def test_of_rows(self, folder, written, read):
        (query,) = ask(folder, {"question_id": written}).queries
        assert query.query_id == read

    def test_of_tables(self, tmp_path):
        columns = {
            "image": [png()] * 3,
            "question": ["a", "b", "c"],
            "image_id": [0, None, 7],
            "question_id": ["x"] * 3,
        }
        found = ask_table(tmp_path / "t.parquet", columns)
        assert [query.image_id for query in found.queries] == ["0", "row 2", "7"]

    @pytest.mark.parametrize("image_id", [42, 42.0, "42", "000000000042", "COCO_val2014_000000000042"])
    def test_of_coco(self, folder, image_id):
        Image.new("RGB", (50, 30)).save(folder / "COCO_val2014_000000000042.jpg")
        (query,) = ask_vqa(folder, [{"image_id": image_id, "question": "?", "question_id": [1]}]).queries
        assert query.width == 50

    @pytest.mark.parametrize("name", ["005635e119b9f32f", "007d0b1f5a1c0912", "0012345678901234", "café"])
    def test_names_that_end_in_a_digit_or_in_none(self, folder, name):
        Image.new("RGB", (50, 30)).save(folder / f"{unicodedata.normalize('NFD', name)}.jpg")
        (query,) = ask_vqa(folder, [{"image_id": name, "question": "?", "question_id": 1}]).queries
        assert (query.width, query.image_id) == (50, name)

    def test_none_and_lists_find_no_picture_and_say_so(self, folder):
        rows = [{"image_id": each, "question": "?", "question_id": None} for each in ("a", None, [1], {"x": 1}, True)]
        found = ask_vqa(folder, rows)
        assert [query.image_id for query in found.queries] == ["a"]
        assert [each.name for each in found.skipped] == ["row 2", "[1]", '{"x": 1}', "true"]

    def test_two_pictures_of_one_id_are_not_mixed_up(self, folder):
        for place, width in (("train", 70), ("val", 80)):
            (folder / place).mkdir()
            Image.new("RGB", (width, 40)).save(folder / place / "9.png")
        rows = [{"image_id": each, "question": "?", "question_id": 1} for each in ("9", "train/9", "val/9.png")]
        found = ask_vqa(folder, rows)
        assert [query.width for query in found.queries] == [70, 80]
        assert found.skipped[0].reason.endswith("have the id 9: train/9.png, val/9.png.")

    def test_names_equal_but_for_their_unicode_form(self, folder):
        one, two = (unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD"))
        Image.new("RGB", (70, 40)).save(folder / two)
        assert ask(folder, {"image": one}).queries[0].width == 70
        Image.new("RGB", (80, 40)).save(folder / one)
        assert [query.width for query in ask(folder, {"image": one}, {"image": two}).queries] == [80, 70]

    def test_textvqa_as_found(self, shared):
        place = shared / "cases" / "data-sets" / "11-textvqa-hex-ids"
        assert len(read_data_set(DataSet("vqa", str(place), str(place / "q.json"))).queries) == 3


class TestQuestions:
    @pytest.mark.parametrize("nothing", [None, [1], {"a": 1}])
    def test_none_is_skipped_and_counted(self, folder, nothing):
        found = ask(folder, {"question": "What?"}, {"question": nothing})
        assert [query.question for query in found.queries] == ["What?"]
        assert found.skipped[0].reason == "The question of row 2 is no text."
        rows = [{"image_id": "a", "question": each, "question_id": 1} for each in ("What?", nothing)]
        assert (len(ask_vqa(folder, rows).queries), len(ask_vqa(folder, rows).skipped)) == (1, 1)

    def test_none_in_a_table(self, tmp_path):
        found = ask_table(tmp_path / "t.parquet", {"image": [png()] * 3, "question": ["a", None, " "]})
        assert [query.question for query in found.queries] == ["a"]
        assert [each.reason for each in found.skipped] == [f"The question of row {n} is no text." for n in (2, 3)]

    @pytest.mark.parametrize("end", ["\u2028", "\u2029", "\u0085", "\x0b", "\x1c"])
    def test_ends_of_lines_inside_a_text_are_text(self, folder, end):
        text = json.dumps({"image": "a.png", "question": f"one{end}two"}, ensure_ascii=False)
        (folder / "q.jsonl").write_text(text + "\r\n" + text, encoding="utf-8")
        found = read_data_set(DataSet("folder", str(folder), "q.jsonl"))
        assert [query.question for query in found.queries] == [f"one{end}two"] * 2

    def test_half_characters_are_replaced(self, folder):
        (folder / "q.jsonl").write_text('{"image": "a.png", "question": "x\\ud800y", "answer": "\\udc00"}')
        (query,) = read_data_set(DataSet("folder", str(folder), "q.jsonl")).queries
        assert (query.question, query.answers) == ("x�y", ("�",))


class TestCsv:
    def test_blank_lines_long_fields_and_blank_cells_too_many(self, folder):
        text = "?" * 200_000
        found = ask_csv(folder, f"\n\r\nimage, question\na.png,{text}\n\nb.png,What?,,\n")
        assert [query.question for query in found.queries] == [text, "What?"]

    def test_a_column_too_many_is_refused_with_its_row(self, folder):
        with pytest.raises(UserError, match=r"rows 2 have more columns than the first line names"):
            ask_csv(folder, "image,question\na.png,What?\nb.png,What, where?\n")

    def test_two_columns_of_one_name(self, folder):
        with pytest.raises(UserError, match="two columns called 'question'"):
            ask_csv(folder, "image,question,question\na.png,What?,Who?\n")

    @pytest.mark.parametrize("rest", ["b.png,Who?\n", 'b.png,"Who?"\n'])
    def test_an_unclosed_quote_is_refused_with_its_line(self, folder, rest):
        with pytest.raises(UserError, match="a quote in line 3 is not closed"):
            ask_csv(folder, f'image,question\na.png,"one, two"\na.png,"What?\n{rest}')


class TestTables:
    def refused(self, path, says, **options):
        with pytest.raises(UserError, match=says) as error:
            read_data_set(DataSet("table", str(path), **options))
        assert "\n" not in str(error.value)

    def test_two_columns_of_one_name(self, tmp_path):
        table = pa.table([[png()], ["a"], ["b"]], names=["image", "question", "question"])
        pq.write_table(table, tmp_path / "t.parquet")
        self.refused(tmp_path / "t.parquet", "two columns called 'question'")

    def test_a_damaged_page_of_questions_is_refused_and_one_of_pictures_skipped(self, tmp_path):
        path = tmp_path / "t.parquet"
        generator = np.random.default_rng(0)
        columns = {
            "image": [png()] * 3,
            "question": [bytes(generator.integers(97, 122, 500, dtype=np.uint8)).decode() for _ in range(3)],
        }
        for name, refused in (("question", True), ("image", False)):
            pq.write_table(pa.table(columns), path, compression="zstd", use_dictionary=False)
            chunk = pq.ParquetFile(path).metadata.row_group(0)
            column = next(chunk.column(at) for at in range(2) if chunk.column(at).path_in_schema == name)
            data = bytearray(path.read_bytes())
            start = column.data_page_offset
            data[start + 10 : start + column.total_compressed_size] = b"\xa5" * (column.total_compressed_size - 10)
            path.write_bytes(data)
            self.refused(path, "cannot be read as a table" if refused else "none of its 3 questions has a picture")

    def test_nul_in_a_path_is_a_picture_that_is_not_there(self, tmp_path):
        columns = {"image": [png(), b"\0"], "question": ["a", "b"]}
        assert len(ask_table(tmp_path / "t.parquet", columns).skipped) == 1
        names = {"image": ["a\0b.png", "x" * 5000], "question": ["a", "b"]}
        pq.write_table(pa.table(names), tmp_path / "names.parquet")
        self.refused(tmp_path / "names.parquet", "There is no picture")
        self.refused("no\0thing", "nothing at")
        self.refused("x" * 5000, "nothing at")
        self.refused("~nosuchuser/t.parquet", "no such user")
        self.refused("half\ud800", "half a character")

    def test_splits_by_file_names_folders_and_configurations(self, tmp_path):
        def write(name, rows):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table({"image": [png()] * rows, "question": ["?"] * rows}), tmp_path / name)

        def count(place, **options):
            return len(read_data_set(DataSet("table", str(tmp_path / place), **options)).queries)

        write("plain/train.parquet", 3)
        write("plain/test.parquet", 1)
        self.refused(tmp_path / "plain", "several splits: choose one of test, train")
        assert (count("plain", split="train"), count("plain", split="test")) == (3, 1)
        for split, rows in (("train", 2), ("validation", 1)):
            for number in range(2):
                write(f"converted/default/{split}/{number:04}.parquet", rows)
        assert (count("converted", split="train"), count("converted", split="validation")) == (4, 2)
        write("configured/small/test-00000-of-00001.parquet", 1)
        write("configured/large/test-00000-of-00001.parquet", 2)
        self.refused(tmp_path / "configured", "choose one of large/test, small/test")
        assert count("configured", split="large/test") == 2
        write("parts/0.parquet", 1)
        write("parts/1.parquet", 1)
        assert count("parts") == 2

    def test_a_missing_shard(self, tmp_path):
        table = pa.table({"image": [png()], "question": ["?"]})
        for number in (0, 2):
            pq.write_table(table, tmp_path / f"train-{number:05}-of-00004.parquet")
        self.refused(tmp_path, "lacks 2 of 4 shards: train-00001-of-00004, train-00003-of-00004")
        pq.write_table(table, tmp_path / "train-00000-of-00001.parquet")
        self.refused(tmp_path, "mixes sets of 1, 4 shards of train")
        saved = datasets.Dataset.from_dict({"image": [png()] * 2, "question": ["?", "!"]})
        saved.save_to_disk(tmp_path / "saved", num_shards=2)
        (tmp_path / "saved" / "data-00001-of-00002.arrow").unlink()
        self.refused(tmp_path / "saved", "lacks 1 of 2 shards")

    def test_a_damaged_arrow_file_is_refused_and_ends_nothing(self, tmp_path, shared):
        path = tmp_path / "t.arrow"
        table = pa.table({"image": [png()] * 2, "question": ["first", "second"]})
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
        assert len(read_data_set(DataSet("table", str(path))).queries) == 2
        data = path.read_bytes()
        offsets = np.array([0, 5, 11], "<i4").tobytes()
        assert data.count(offsets) == 1
        path.write_bytes(data.replace(offsets, np.array([0, 2**30, 2**31 - 9], "<i4").tobytes()))
        self.refused(path, r"t\.arrow cannot be read as a table")
        self.refused(shared / "cases" / "data-sets" / "damaged-arrow", "cannot be read as a table")

    def test_a_file_written_anew_is_read_anew(self, tmp_path):
        path = tmp_path / "t.arrow"
        for question in ("one", "other"):
            table = pa.table({"image": [png()], "question": [question]})
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
                writer.write_table(table)
            assert read_data_set(DataSet("table", str(path))).queries[0].question == question


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "gif", "bmp", "tif"])
def test_a_truncated_picture_is_found_as_the_data_set_is_read(folder, ending):
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / f"cut.{ending}")
    whole = (folder / f"cut.{ending}").read_bytes()
    (folder / f"cut.{ending}").write_bytes(whole[: len(whole) * 2 // 3])
    found = ask(folder, {}, {"image": f"cut.{ending}"})
    assert [query.image_id for query in found.queries] == ["a.png"]
    assert "is not a picture that can be read" in found.skipped[0].reason


def test_one_question_for_each_picture(folder):
    rows = [{"image": name, "question": str(number)} for number in range(5) for name in ("a.png", "b.png")]
    found = ask(folder, *rows, limit=2, one_question_each=True)
    assert sorted(query.image_id for query in found.queries) == ["a.png", "b.png"]
    assert not found.skipped
