import json
import os

import pytest

from profcore.worker.answers import read_answer, write_answer


def test_an_answer_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "a.json"
    write_answer(path, "done", result={"ms": 1.5})
    assert read_answer(path) == {"state": "done", "text": "", "result": {"ms": 1.5}}
    write_answer(path, "failed", "Stopped.")
    assert read_answer(path)["text"] == "Stopped."


ODD = ["", "{", "[1]", "[" * 10**5, '{"state": "done"}', '{"state": "done", "text": "", "result": 1}', '{"state": 5}']


@pytest.mark.parametrize("content", [*ODD, json.dumps({"state": "dreaming", "text": ""})])
def test_what_is_no_answer_is_none(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    assert read_answer(path) is None


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    assert read_answer(tmp_path / "a.json") is None
