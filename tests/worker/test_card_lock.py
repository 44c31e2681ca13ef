"""A card is locked once on a machine, by whatever process and under whatever environment."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from profcore.errors import UserError
from profcore.worker.card_lock import CardLock, locks_folder
from tests.support import ROOT, until

CARD = "GPU-6f1d2c3b-0000-1111-2222-333344445555"
CODE = """
import sys
from profcore.worker.card_lock import CardLock
lock = CardLock(sys.argv[1], sys.argv[2])
print(lock.take(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def locks(tmp_path, monkeypatch):
    monkeypatch.setenv("PROFCORE_LOCKS", str(tmp_path / "locks"))
    return tmp_path / "locks"


def holding(**environment):
    """A process that takes the card's lock, and says whether it got it."""
    return subprocess.Popen(
        [sys.executable, "-c", CODE, CARD, "run 7"],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def test_a_card_is_held_once_whatever_the_environment_and_freed_by_death(locks, tmp_path):
    with holding(CUDA_VISIBLE_DEVICES="3", TMPDIR=str(tmp_path)) as other:
        assert other.stdout.readline() == b"True\n"
        with CardLock(CARD) as lock, CardLock("cpu") as another_card:
            assert another_card.take()
            assert not lock.take()
            assert re.fullmatch(rf"process {other.pid} \(run 7\) has measured since [\d-]+ [\d:]+ UTC", lock.holder())
            # Even one that is stopped lets go when it is killed.
            other.send_signal(signal.SIGSTOP)
            assert not lock.take()
            other.send_signal(signal.SIGKILL)
            until(lock.take)
            assert str(os.getpid()) in lock.holder()


def test_the_place_is_the_same_for_all_users_unless_told(monkeypatch, tmp_path):
    monkeypatch.delenv("PROFCORE_LOCKS")
    before = locks_folder()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locks_folder() == before == Path("/tmp/profcore-locks")


def test_all_users_may_lock_and_none_may_take_a_lock_away(locks):
    mask = os.umask(0o077)
    try:
        with CardLock(CARD):
            pass
    finally:
        os.umask(mask)
    (file,) = locks.iterdir()
    assert (locks.stat().st_mode & 0o7777, file.stat().st_mode & 0o777) == (0o1777, 0o666)


def test_a_lock_whose_file_was_cleaned_away_is_taken_in_the_new_one(locks):
    with CardLock(CARD) as lock:
        (file,) = locks.iterdir()
        file.unlink()
        with CardLock(CARD) as other:
            assert other.take()
            assert not lock.take()


def _folder(path):
    path.mkdir()


def _link(path):
    path.symlink_to("/etc/hostname")


@pytest.mark.parametrize("make", [_folder, _link, os.mkfifo])
def test_what_is_no_lock_is_said(locks, make):
    locks.mkdir()
    make(locks / f"{CARD}.lock")
    with pytest.raises(UserError, match="PROFCORE_LOCKS"):
        CardLock(CARD)


def test_a_place_that_is_no_folder_is_said(locks):
    locks.write_text("")
    with pytest.raises(UserError, match="writable for all"):
        CardLock(CARD)


@pytest.mark.parametrize(
    "said", [b"", b"[]", b"\xff", json.dumps({"pid": [1], "user": "*x* <b>", "why": None}).encode()]
)
def test_whatever_is_said_of_the_holder_is_a_sentence(locks, said):
    with CardLock(CARD) as held:
        assert held.take()
        (file,) = locks.iterdir()
        file.write_bytes(said)
        with CardLock(CARD) as lock:
            assert not lock.take()
            assert "has measured" in lock.holder()
            assert not set("*<>[") & set(lock.holder())
