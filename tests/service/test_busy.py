"""What the pages say of a busy card beside Run: other processes than the dashboard's own workers."""

import pytest

from profcore.measure.card import Card
from profcore.service.busy import Busy
from profcore.worker.busy import HostLoad
from profcore.worker.seen import Seen
from tests.measure.fake_nvml import FakeNvml


class Jobs:
    """Workers of which one, 77, is on the card."""

    known = True

    def seen(self):
        devices = [{"id": "cuda:0", "machine": {"card": "GPU-1"}}, {"id": "cpu", "machine": {"card": None}}]
        return Seen(devices if self.known else [], self.known)

    def workers(self):
        return {"cuda:0": 77}


@pytest.fixture
def said(tmp_path, monkeypatch):
    """What is said of a card that others are on."""

    def notes(device="cuda:0", **state):
        nvml, find = FakeNvml(**state), Card.find
        monkeypatch.setattr("profcore.service.busy.Card.find", lambda uuid: find(uuid, nvml))
        try:
            return Busy(Jobs(), HostLoad(tmp_path / "none")).notes(device)
        finally:
            monkeypatch.undo()

    return notes


def test_the_own_worker_is_no_other(said):
    assert said(pids=[77]) == []
    assert said(pids=[77, 5]) == ["The card is in use: 1 other process on it. Samples taken beside others are flagged."]


def test_a_card_at_work_while_no_run_of_ours_is_measured(said):
    (note,) = said(pids=[], gpu=63)
    assert "at work 63 % of the time" in note


def test_a_worker_by_its_number_outside_of_a_container_is_no_other(said):
    assert said(pids=[4001]) == []


def test_a_cpu_has_no_card(said):
    assert said("cpu", pids=[5]) == []


def test_a_card_is_looked_at_once_its_device_is_known(tmp_path, monkeypatch):
    jobs, find, nvml = Jobs(), Card.find, FakeNvml(pids=[77, 5])
    monkeypatch.setattr("profcore.service.busy.Card.find", lambda uuid: find(uuid, nvml))
    monkeypatch.setattr("profcore.service.busy._FOR_S", 0.0)
    jobs.known, busy = False, Busy(jobs, HostLoad(tmp_path / "none"))
    assert busy.notes("cuda:0") == []
    jobs.known = True
    assert "The card is in use" in busy.notes("cuda:0")[0]
