"""Pictures that people gave are kept within bounds."""

import os

import pytest

from profcore.errors import ImageError
from profcore.service.kept_pictures import keep


def test_the_same_picture_is_kept_once_and_whole(tmp_path):
    first = keep(tmp_path / "pictures", b"a" * 10)
    assert keep(tmp_path / "pictures", b"a" * 10) == first
    assert [each.read_bytes() for each in (tmp_path / "pictures").iterdir()] == [b"a" * 10]


def test_old_ones_make_room_and_new_ones_do_not(tmp_path):
    old, new = keep(tmp_path, b"a" * 10), keep(tmp_path, b"b" * 10)
    os.utime(old, (0, 0))
    assert keep(tmp_path, b"c" * 10, most=20).exists()
    assert not old.exists()
    assert new.exists()
    with pytest.raises(ImageError, match="remove what no run needs"):
        keep(tmp_path, b"d" * 10, most=20)
    assert new.exists()


def test_one_that_is_given_again_is_not_old(tmp_path):
    kept = keep(tmp_path, b"a" * 10)
    os.utime(kept, (0, 0))
    keep(tmp_path, b"a" * 10)
    with pytest.raises(ImageError):
        keep(tmp_path, b"b" * 10, most=15)
    assert kept.exists()
