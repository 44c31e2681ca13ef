"""The drawn data set on a page: it needs no path, and its pictures are shown as any."""

from pages.parts import thumbnails
from profcore.images.shapes import scene_named
from profcore.spec.queries import Picture
from tests.support import texts


def test_the_page_asks_for_no_path_and_how_many_are_drawn(app):
    test = app("motivation", dataset="shapes")
    assert not test.exception
    assert "Pictures of coloured shapes" in texts(test.caption)
    assert "pictures" not in [each.key for each in test.text_input]
    assert test.number_input(key="limit").value > 0


def test_a_thumbnail_of_one(dashboard, monkeypatch):
    shown = []
    monkeypatch.setattr(thumbnails.st, "image", lambda data, **_: shown.append(data))
    monkeypatch.setattr(thumbnails.st, "caption", shown.append)
    assert scene_named("held-out/3").width == 1008
    thumbnails.draw(Picture("shapes", "held-out/3"))
    thumbnails.draw(Picture("shapes", "held-out/none"))
    picture, sorry = shown
    assert picture[:2] == b"\xff\xd8"
    assert "There is no drawn picture" in sorry
