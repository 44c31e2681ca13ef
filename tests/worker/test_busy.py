"""What is said of a busy card and a busy host before anything is measured."""

import os

import pytest

from profcore.measure.card import Card
from profcore.worker.busy import HostLoad, card_note, notes_before
from tests.measure.fake_nvml import FakeNvml

TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def host(tmp_path):
    """Four cores, looked at a second after their first look; gives how long they worked and how long we did."""
    stat = tmp_path / "stat"

    def looked(worked_s, own_s=0.0, passed=1.0):
        stat.write_text(f"cpu {100 * TICKS} 0 0 900 0 0 0 0 0 0\ncpu0 1 2 3\n")
        times, own = iter([0.0, passed, passed]), iter([0.0, own_s, own_s])
        load = HostLoad(stat, lambda: next(times), lambda: next(own), cores=4)
        stat.write_text(f"cpu {100 * TICKS + round(worked_s * TICKS)} 0 0 950 0 0 0 0 0 0\n")
        return load

    return looked


def test_a_host_is_busy_where_others_keep_half_of_its_cores_at_work(host):
    assert host(3.0).busy_cores() == pytest.approx(3.0)
    assert host(3.0).note().startswith("The host is busy: other programs keep about 3 of its 4 cores at work")
    assert host(1.9).note() == ""


def test_what_this_process_does_is_not_others(host):
    assert host(3.0, own_s=2.0).busy_cores() == pytest.approx(1.0)
    assert host(1.0, own_s=2.0).busy_cores() == 0


def test_a_moment_is_too_short_to_say(host):
    assert host(3.0, passed=0.01).note() == ""


def test_a_machine_without_these_counters_says_nothing(tmp_path):
    assert HostLoad(tmp_path / "none").busy_cores() is None
    assert notes_before(None, HostLoad(tmp_path / "none")) == []


@pytest.mark.parametrize(
    ("others", "used", "said"),
    [
        (0, 0, ""),
        (None, None, ""),
        (0, 3, ""),
        (1, None, "The card is in use: 1 other process on it."),
        (2, 40, "The card is in use: 2 other processes on it, at work 40 % of the time."),
        (None, 40, "The card is in use: at work 40 % of the time."),
    ],
)
def test_a_card_in_use(others, used, said):
    found = card_note(others, used)
    assert found.startswith(said)
    assert bool(found) == bool(said)


def test_a_command_is_on_the_card_itself_and_no_other(host):
    assert notes_before(Card(FakeNvml(pids=[10]), "handle", pid=10), host(0.0)) == []
    (said,) = notes_before(Card(FakeNvml(pids=[10, 11]), "handle", pid=10), host(0.0))
    assert "1 other process" in said
