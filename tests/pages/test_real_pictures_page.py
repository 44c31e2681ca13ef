"""Pictures with their questions: as a run's gallery shows them, and one's own as a data set."""

import io

import pandas as pd
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from profcore.data_sets import read_data_set
from profcore.errors import UserError
from profcore.paths import Roots
from profcore.results.gallery import gallery
from profcore.results.pictures import load_picture_result
from profcore.service import own_pictures
from profcore.service.kept_pictures import keep
from profcore.service.own_pictures import Asked, check_asked, own_data_set, questions_file
from profcore.spec.queries import Picture
from profcore.storage.store import Store
from tests.support import sample_spool


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("gallery") / "data.duckdb") as store:
        store.take_in(sample_spool("20261129-203829-33974985", store.path.parent), source="shipped")
        return load_picture_result(store, "20261129-203829-33974985")


def test_a_gallery_has_every_question_with_what_it_cost(result):
    shown = gallery(result)
    assert [each.query.to_dict() for each in shown] == result.run["spec"]["sweep"]["queries"]["queries"]
    point = result.points.iloc[0]
    first = shown[result.run["spec"]["sweep"]["query_of"][int(point["setting"])]]
    assert f"{int(point['num_vision_tokens']):,} vision tokens" in first.lines[0]
    assert first.lines[1].startswith("TTFT ")


def test_a_run_that_does_not_say_its_pictures_has_no_gallery(result):
    from dataclasses import replace

    assert gallery(replace(result, run={**result.run, "spec": {}})) == []
    unmeasured = replace(result, points=result.points.iloc[:0])
    assert {each.lines for each in gallery(unmeasured)} == {()}


def picture(colour):
    file = io.BytesIO()
    Image.new("RGB", (60, 40), colour).save(file, "PNG")
    return file.getvalue()


def test_ones_own_pictures_are_read_as_a_data_set(tmp_path):
    folder = tmp_path / "pictures"
    paths = [keep(folder, picture(colour), ending=".jpg") for colour in ("red", "blue")]
    questions = ["What is it?", " Wie heißt das? "]
    asked = [
        Asked(f"my {place}.png", Picture("file", str(path)), question)
        for place, (path, question) in enumerate(zip(paths, questions, strict=True))
    ]
    file = keep(folder, questions_file(asked), ending=".jsonl")
    within = Roots.configured(tmp_path).folders
    found = read_data_set(own_data_set(folder, file, within))
    assert [query.question for query in found.queries] == ["What is it?", "Wie heißt das?"]
    assert [query.picture.value for query in found.queries] == [str(path) for path in paths]
    assert found.queries[0].query_id == f"my 0.png ({paths[0].name})"


@pytest.mark.parametrize(
    ("number", "question", "says"),
    [
        (0, "What?", "upload 1 to"),
        (own_pictures.MOST + 1, "What?", "upload 1 to"),
        (2, "  ", "a.png has no question"),
        (1, "x" * 5000, "too long"),
    ],
)
def test_what_cannot_be_asked_is_said(number, question, says):
    with pytest.raises(UserError, match=says):
        check_asked([Asked("a.png", Picture("file", "a"), question)] * number)


def _page():
    import streamlit as st

    from pages.parts import gallery_view, own_pictures
    from profcore.results.pictures import load_picture_result
    from profcore.storage.store import Store

    with Store(":memory:") as store:
        store.take_in(st.session_state["spool"], source="shipped")
        found = load_picture_result(store, st.session_state["spool"].stem)
    gallery_view.show(found)
    st.session_state["chosen"] = own_pictures.choose("")


def test_the_page_draws_thumbnails_and_takes_pictures_with_questions(tmp_path, monkeypatch):
    from pages.parts import own_pictures as controls
    from pages.parts import thumbnails

    class Kept:
        roots = Roots.configured(tmp_path)

        def keep_picture(self, data, name, named=False):
            return Picture("file", str(keep(tmp_path, data, ending=".jpg")))

        def keep_own_pictures(self, asked):
            check_asked(asked)
            return asked

    for module in (controls, thumbnails):
        monkeypatch.setattr(module, "service", Kept)
    test = AppTest.from_function(_page, default_timeout=120)
    test.session_state["spool"] = sample_spool("20261129-203829-33974985", tmp_path)
    test.run()
    assert not test.exception
    assert 0 < len(test.get("image")) <= 12
    assert test.session_state["chosen"] is None
    pages = test.number_input
    assert bool(pages) == (len(test.get("image")) == 12)
    test.file_uploader[0].upload("mine.png", picture("green"), "image/png").run()
    assert not test.exception
    (asked,) = test.session_state["chosen"]
    assert (asked.name, asked.question) == ("mine.png", "Describe this image.")


def test_a_question_that_was_emptied_is_missing():
    from pages.parts.own_pictures import asked_of

    table = pd.DataFrame({"picture": ["a.png", "b.png"], "question": ["What?", "Describe"]})
    table.loc[1, "question"] = None
    asked = asked_of([(name, Picture("file", name)) for name in table["picture"]], table)
    assert [each.question for each in asked] == ["What?", ""]
    with pytest.raises(UserError, match=r"b\.png has no question"):
        check_asked(asked)
