"""The drawn data set: the same everywhere, held out, and its answers are what its pictures show."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from profcore.data_sets import DataSet, read_data_set
from profcore.data_sets.shapes import PICTURES, QUESTIONS, held_out, questions_of
from profcore.errors import ImageError
from profcore.images.pictures import load_picture
from profcore.images.processing import select_tiling
from profcore.images.shapes import COLOURS, GRIDS, Scene, Thing, draw, scene_named, scene_of
from profcore.spec.queries import Picture, QuerySet


def test_it_needs_no_file_and_every_question_has_one_answer_of_one_word():
    found = read_data_set(DataSet("shapes"))
    assert len(found.queries) == 2 * PICTURES == 1000
    assert not found.skipped
    assert len({query.query_id for query in found.queries}) == 1000
    assert all(len(query.answers) == 1 and query.answers[0].isalnum() for query in found.queries)
    kinds = Counter(query.query_id.rsplit("-", 2)[1] for query in found.queries)
    assert set(kinds) == set(QUESTIONS)
    assert 250 < kinds["digit"] < 350
    assert QuerySet.from_dict(found.to_dict()) == found


def test_pictures_and_questions_are_the_same_on_every_machine():
    picture = load_picture(Picture("shapes", "held-out/17"))
    assert hashlib.sha256(picture.tobytes()).hexdigest()[:16] == "aa8578b181b86225"
    assert [(each.text, each.answer) for each in held_out(17)[1]] == [
        ("What digit is on the orange shape?", "2"),
        ("Is the purple shape on the left or on the right?", "right"),
    ]


def test_a_limit_draws_by_the_seed():
    def draw_some(seed):
        return [query.query_id for query in read_data_set(DataSet("shapes", limit=8, seed=seed)).queries]

    assert len(draw_some(0)) == 8
    assert draw_some(0) == draw_some(0) != draw_some(1)
    once = read_data_set(DataSet("shapes", limit=PICTURES, one_question_each=True)).queries
    assert len({query.image_id for query in once}) == PICTURES


def test_pictures_are_of_their_size_and_tile_into_the_grid_that_they_fill():
    for grid in GRIDS:
        scene = scene_of("any", grid)
        assert draw(scene).size == (scene.width, scene.height)
        assert select_tiling(scene.height, scene.width, 12) == grid
    queries = read_data_set(DataSet("shapes")).queries
    assert {select_tiling(query.height, query.width, 12) for query in queries} == set(GRIDS)


def test_things_lie_apart_within_the_picture_and_no_two_have_one_colour():
    for number in range(200):
        scene = scene_of(f"apart {number}")
        boxes = np.zeros((scene.height, scene.width), dtype=int)
        for thing in scene.things:
            half = thing.size // 2
            assert half <= thing.x <= scene.width - half
            assert half <= thing.y <= scene.height - half
            boxes[thing.y - half : thing.y + half, thing.x - half : thing.x + half] += 1
        assert boxes.max() == 1
        assert len({thing.colour for thing in scene.things}) == len(scene.things) >= 2


def test_what_is_drawn_is_what_the_scene_says():
    scene = scene_of("drawn")
    pixels = np.asarray(draw(scene))
    assert (pixels[0, 0] == scene.ground).all()
    for thing in scene.things:
        left, top = thing.plate
        # Beside the digit's patch every shape shows its colour, close to the one it is called by.
        assert tuple(pixels[thing.y, left - 1]) == thing.rgb
        assert np.abs(np.subtract(thing.rgb, COLOURS[thing.colour])).max() <= 20
        plate = pixels[top : top + 14, left : left + 14]
        assert set(np.unique(plate)) == {0, 255}
    digits = {thing.digit: draw(Scene(140, 140, 200, (thing,))).tobytes() for thing in map(_thing, range(10))}
    assert len(set(digits.values())) == 10


def _thing(digit):
    return Thing("circle", "red", digit, 70, 70, 80, (200, 0, 0))


def test_answers_follow_from_the_scene():
    things = (
        Thing("circle", "red", 3, 100, 100, 80, (200, 0, 0)),
        Thing("circle", "blue", 5, 450, 100, 80, (0, 0, 200)),
        Thing("cross", "green", 7, 100, 450, 80, (0, 200, 0)),
    )
    asked = {each.text: each.answer for each in questions_of(Scene(560, 560, 200, things), "all", 100)}
    expected = {
        "What digit is on the red shape?": "3",
        "What digit is on the cross?": "7",
        "What colour is the cross?": "green",
        "What shape is blue?": "circle",
        "How many circles are there?": "2",
        "How many crosses are there?": "1",
        "How many diamonds are there?": "0",
        "Is the blue shape on the left or on the right?": "right",
        "Is the green shape at the top or at the bottom?": "bottom",
        "Is there a red circle?": "yes",
        "Is there a red cross?": "no",
    }
    assert expected == {text: asked[text] for text in expected}
    # Two are circles, so that neither is the circle.
    assert not {"What digit is on the circle?", "What colour is the circle?"} & set(asked)


@pytest.mark.parametrize("name", ["", "17", "training/1", "held-out/", "held-out/01", "held-out/-1", "held-out/1" * 99])
def test_a_picture_that_is_not_held_out_is_refused_in_a_sentence(name):
    with pytest.raises(ImageError, match=r"There is no drawn picture .* name one as held-out/17"):
        scene_named(name)
