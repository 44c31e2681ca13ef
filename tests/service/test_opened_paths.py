"""What a page or a run from elsewhere may have opened on this machine."""

import os
from contextlib import nullcontext
from dataclasses import replace

import pytest

from profcore.data_sets import DataSet, read_data_set
from profcore.errors import UserError
from profcore.models.config import check_model_path
from profcore.models.shards import INDEX
from profcore.paths import Roots
from profcore.service.questions import check_picture, check_pictures
from profcore.spec.queries import Picture, Query, QueryPlan, QuerySet
from tests.support import small_sweep


@pytest.fixture
def roots(tmp_path, monkeypatch):
    for name in ("inside", "outside"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    return Roots((str(tmp_path / "inside"),))


@pytest.mark.parametrize("model", ["tiny", "molmoe-1b", "allenai/MolmoE-1B-0924"])
def test_presets_and_hub_names_are_no_paths(roots, model):
    check_model_path(model, roots)


@pytest.mark.parametrize("model", ["/dev/zero", "/", "../outside", "..", "~root", "a\0b", "x" * 5000, "{0}/../outside"])
def test_a_checkpoint_elsewhere_is_not_looked_at(roots, model):
    with pytest.raises(UserError):
        check_model_path(model.format(roots.folders[0]), roots)


def test_a_checkpoint_under_a_root_may_be_opened(roots):
    check_model_path(roots.folders[0], roots)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", INDEX, "a.safetensors", "part/a.safetensors"])
@pytest.mark.parametrize("there", [True, False])
def test_links_in_a_checkpoint_lead_nowhere_else(roots, tmp_path, name, there):
    """Nor is it told whether there is anything; those that stay, as in the hub's cache, are followed."""
    (tmp_path / "inside" / "model").mkdir()
    (tmp_path / "inside" / "blobs").mkdir()
    link = tmp_path / "inside" / "model" / name
    if "/" in name:
        (tmp_path / "inside" / "model" / INDEX).write_text('{"weight_map": {"a": "part/a.safetensors"}}')
        link.parent.mkdir()
    for folder, said in (("inside/blobs", None), ("outside", "links that lead outside")):
        if there:
            (tmp_path / folder / "secret").write_text("{")
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / folder / "secret")
        with pytest.raises(UserError, match=said) if said else nullcontext():
            check_model_path(str(tmp_path / "inside" / "model"), roots)


def test_an_index_of_names_that_no_file_can_have_is_for_its_reader_to_refuse(roots, tmp_path):
    for name in ("a\\u0000b", "\\ud800", "x" * 5000, "../outside/a"):
        (tmp_path / "inside" / INDEX).write_text(f'{{"weight_map": {{"a": "{name}"}}}}')
        check_model_path(str(tmp_path / "inside"), roots)


def test_a_link_called_like_a_hub_name_is_followed(roots, tmp_path):
    (tmp_path / "inside" / "allenai").mkdir()
    (tmp_path / "inside" / "allenai" / "MolmoE").symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match="outside"):
        check_model_path("allenai/MolmoE", roots)


def test_pictures_of_a_run_from_elsewhere(roots, tmp_path):
    check_picture(Picture(), roots)
    check_picture(Picture("solid", "#808080"), roots)
    check_picture(Picture("file", str(tmp_path / "inside" / "a.png")), roots)
    for picture in (
        Picture("file", str(tmp_path / "outside" / "a.png")),
        Picture("row", f"{tmp_path / 'outside' / 'a.parquet'}|image|0"),
        Picture("file", "/dev/zero"),
    ):
        with pytest.raises(UserError):
            check_picture(picture, roots)


def test_every_picture_that_a_run_from_elsewhere_names_is_asked_about(roots, tmp_path):
    def queries(place):
        picture = Picture("file", str(tmp_path / place / "a.png"))
        return QuerySet("set", (Query(picture, "What?", "a", "1", 9, 9),))

    sweep = small_sweep(values=(1,))
    check_pictures(replace(sweep, plan=QueryPlan(queries("inside"), (0,)), quality=queries("inside")), roots)
    for changes in ({"plan": QueryPlan(queries("outside"), (0,))}, {"quality": queries("outside")}):
        with pytest.raises(UserError):
            check_pictures(replace(sweep, **changes), roots)


def test_links_in_a_data_set_lead_nowhere_else(roots, tmp_path, picture_file):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for name in ("own.png", "real.png"):
        picture_file(inside / name)
    picture_file(outside / "private.png")
    (inside / "link.png").symlink_to(outside / "private.png")
    (inside / "folder").symlink_to(outside)
    (inside / "questions.csv").write_text("image,question\nown.png,a\nlink.png,b\nfolder/private.png,c\n")
    found = read_data_set(DataSet("folder", str(inside), within=roots.folders))
    assert [query.question for query in found.queries] == ["a"]
    assert all("leads outside" in each.reason for each in found.skipped)
    assert len(found.skipped) == 2
    # Whoever runs a command may open what they may open.
    assert len(read_data_set(DataSet("folder", str(inside))).queries) == 3
    (outside / "questions.csv").write_text("image,question\nown.png,a\n")
    for questions in (str(outside / "questions.csv"), "folder/questions.csv", "/proc/self/environ"):
        with pytest.raises(UserError, match="outside"):
            read_data_set(DataSet("folder", str(inside), questions, within=roots.folders))


def test_pipes_among_pictures_are_not_waited_for(tmp_path, picture_file):
    picture_file(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    os.mkfifo(tmp_path / "questions.jsonl")
    (tmp_path / "q.csv").write_text("image,question\na.png,a\nb.png,b\n")
    assert len(read_data_set(DataSet("folder", str(tmp_path), "q.csv")).skipped) == 1
    with pytest.raises(UserError, match="neither a file nor a folder"):
        read_data_set(DataSet("folder", str(tmp_path), str(tmp_path / "questions.jsonl")))


@pytest.fixture
def picture_file():
    from PIL import Image

    return Image.new("RGB", (60, 40), "red").save
