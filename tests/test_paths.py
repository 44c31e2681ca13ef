"""Which files a page may open: under which folders, of which kind, and how much of them."""

import os

import pytest

from profcore.errors import UserError
from profcore.paths import ANYWHERE, Roots, open_regular, read_regular
from profcore.spec import limits


@pytest.fixture
def house(tmp_path):
    """A folder that may be opened, with links that lead out of it and one that does not."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "file").write_text("words")
    (inside / "out").symlink_to(outside)
    (inside / "file-out").symlink_to(outside / "file")
    (inside / "in").symlink_to(inside / "file")
    (inside / "round").symlink_to(inside / "round")
    os.mkfifo(inside / "pipe")
    return inside


@pytest.mark.parametrize("name", ["", "file", "in", "gone", "gone/deeper", "../inside/file", "round", "./file"])
def test_what_lies_under_a_root_may_be_opened(house, name):
    assert Roots((str(house),)).path(f"{house}/{name}")


@pytest.mark.parametrize(
    "name",
    [
        *("{0}/../outside/file", "{0}/out", "{0}/out/file", "{0}/file-out", "{0}/out/gone", "{0}x", "/", "/dev/zero"),
        *("/proc/self/environ", "/etc/passwd", "~root", "~nouser/x", "a\0b", "\ud800", "x" * 5000, "{0}/pipe", "."),
    ],
)
def test_all_else_is_refused_in_a_sentence(house, name, monkeypatch):
    monkeypatch.chdir("/")
    with pytest.raises(UserError) as refused:
        Roots((str(house),)).path(name.format(house))
    assert "\n" not in str(refused.value)
    str(refused.value).encode()


def test_whether_there_is_anything_elsewhere_is_not_said(house):
    def sentence(name):
        with pytest.raises(UserError) as refused:
            Roots((str(house),)).path(str(house.parent / name))
        return str(refused.value).replace(name, "…")

    assert sentence("outside/file") == sentence("outside/gone")


def test_roots_are_the_working_directory_the_home_and_what_was_named(monkeypatch, tmp_path):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROFCORE_ROOTS", raising=False)
    assert Roots.configured("/mnt").folders == (str(tmp_path), str(tmp_path / "home"), "/mnt")
    monkeypatch.setenv("PROFCORE_ROOTS", f"/srv{os.pathsep}~/sets{os.pathsep}")
    assert Roots.configured("/mnt").folders == ("/srv", str(tmp_path / "home" / "sets"), "/mnt")


def test_without_bounds_any_file_may_be_opened(house):
    assert ANYWHERE.holds("/")
    assert ANYWHERE.path(str(house.parent / "outside" / "file")).read_text() == "words"


def test_a_device_or_pipe_is_neither_waited_for_nor_read(house):
    for path in (house / "pipe", "/dev/zero", "/dev/tty"):
        with pytest.raises(OSError):
            open_regular(path)
    with pytest.raises(IsADirectoryError):
        open_regular(house)
    with pytest.raises(FileNotFoundError):
        open_regular(house / "gone")


def test_no_more_is_read_than_asked_for(house):
    assert read_regular(house / "file", 5) == b"words"
    with pytest.raises(OSError, match="more than"):
        read_regular(house / "file", 4)
    # A file that says it has no bytes, and has some.
    with pytest.raises(OSError, match="more than"):
        read_regular("/proc/self/status", 10)
    # One that is far larger than what is on the disk.
    with (house / "holes").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(OSError, match="more than"):
        read_regular(house / "holes", 10**8)


def test_limits_can_be_set(monkeypatch):
    assert (limits.largest_file(), limits.most_pixels()) == (200_000_000, 50_000_000)
    monkeypatch.setenv("PROFCORE_LARGEST_FILE_MB", "1000")
    monkeypatch.setenv("PROFCORE_MOST_MEGAPIXELS", "2")
    assert (limits.largest_file(), limits.most_pixels()) == (1_000_000_000, 2_000_000)
    for wrong in ("x", "0", "-1", "1.5", "9" * 400, "٣"):
        monkeypatch.setenv("PROFCORE_MOST_MEGAPIXELS", wrong)
        with pytest.raises(UserError, match="PROFCORE_MOST_MEGAPIXELS"):
            limits.most_pixels()
