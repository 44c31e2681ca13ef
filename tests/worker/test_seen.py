"""What devices a machine was last seen to have, for whoever does not wait for a worker."""

import json
import os

import pytest

from profcore.errors import UserError
from profcore.worker.queue import Jobs
from profcore.worker.seen import remember, remembered
from tests.support import FAKE, ROOT, until

CPU = {"id": "cpu", "name": "a CPU", "machine": {"card": None}}


def test_what_was_seen_last_is_known_before_the_worker_says_anything(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    jobs = Jobs(tmp_path, FAKE)
    try:
        named = jobs.devices()
        assert (jobs.seen().devices, jobs.seen().now) == (named, True)
    finally:
        jobs.close()
    os.mkfifo(tmp_path / "gate")
    monkeypatch.setenv("FAKE_GATE", str(tmp_path / "gate"))
    waiting = Jobs(tmp_path, FAKE)
    try:
        assert (waiting.seen().devices, waiting.seen().now) == (named, False)
        (tmp_path / "gate").write_text("go")
        waiting.devices()
        assert waiting.seen().now
    finally:
        waiting.close()


def test_a_worker_that_does_not_come_up_is_said_to_one_and_tried_again_for_the_next(tmp_path):
    jobs = Jobs(tmp_path, ("false",))
    try:
        for _ in range(2):
            until(lambda: jobs._greeting.done())
            with pytest.raises(UserError, match="did not start"):
                jobs.seen()
    finally:
        jobs.close()


@pytest.mark.parametrize(
    "kept",
    [
        "",
        "[]",
        "no json",
        "[" * 10_000,
        json.dumps({"place": ["elsewhere", None], "devices": [CPU]}),
        json.dumps({"place": None, "devices": "cpu"}),
    ],
)
def test_what_is_kept_of_another_machine_or_is_damaged_is_nothing(tmp_path, kept):
    (tmp_path / "devices.json").write_text(kept)
    assert remembered(tmp_path) == []


def test_other_cards_of_this_machine_are_other_devices(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    remember(tmp_path, [CPU])
    assert remembered(tmp_path) == [CPU]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert remembered(tmp_path) == []
