"""What is read of a card, with an NVML of the test's own."""

import pytest
import torch

from profcore.measure.card import Card
from profcore.measure.telemetry import Telemetry
from profcore.spec.records import TELEMETRY
from tests.measure.fake_nvml import FakeNvml

CPU = torch.device("cpu")
ALL = {
    "sm_clock_mhz": 1980,
    "memory_clock_mhz": 2619,
    "temperature_c": 41,
    "power_w": 250.5,
    "throttle_reasons": 0,
    "memory_used_bytes": 30 * 2**30,
    "other_processes": 0,
    "others_utilisation_percent": 0,
}
FUNCTIONS = {
    "sm_clock_mhz": ("nvmlDeviceGetClockInfo",),
    "temperature_c": ("nvmlDeviceGetTemperature",),
    "power_w": ("nvmlDeviceGetPowerUsage",),
    "throttle_reasons": ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"),
    "memory_used_bytes": ("nvmlDeviceGetMemoryInfo",),
    "other_processes": ("nvmlDeviceGetComputeRunningProcesses",),
}


def card(**given):
    return Card(FakeNvml(**given), "handle", pid=10)


def read(**given):
    found = Telemetry(CPU, card(**given)).read()
    assert found.pop("host_probe_us") > 0
    return found


def test_all_of_it_is_read():
    assert read() == ALL
    assert {*ALL, "host_probe_us"} == set(TELEMETRY)


def test_a_cpu_has_no_card():
    assert set(Telemetry(CPU).read()) == {"host_probe_us"}


@pytest.mark.parametrize(("field", "functions"), FUNCTIONS.items(), ids=FUNCTIONS)
def test_what_a_card_does_not_say_is_absent_by_itself(field, functions):
    found = read(lacks=functions)
    gone = {field} | {
        "sm_clock_mhz": {"memory_clock_mhz"},
        "other_processes": {"others_utilisation_percent"},
    }.get(field, set())
    assert set(ALL) - set(found) == gone
    assert found.items() <= ALL.items()


def test_a_driver_that_knows_the_reasons_by_their_old_name_alone():
    assert read(reasons=4, lacks=("nvmlDeviceGetCurrentClocksEventReasons",))["throttle_reasons"] == 4


class TestOthers:
    def test_another_process_with_what_it_uses_of_the_card(self):
        found = read(pids=[10, 11], samples=[(11, 5, 80), (11, 9, 30), (10, 9, 60), (0, 9, 7)])
        assert (found["other_processes"], found["others_utilisation_percent"]) == (1, 30)

    def test_one_that_was_not_sampled_is_there_all_the_same(self):
        found = read(pids=[10, 11])
        assert found["other_processes"] == 1
        assert "others_utilisation_percent" not in found

    def test_numbers_of_outside_a_container_count_this_process_as_one(self):
        found = read(pids=[4001])
        assert found["other_processes"] == 0
        assert read(pids=[4001, 4002])["other_processes"] == 1
        assert "others_utilisation_percent" not in found

    def test_a_container_that_shows_no_process_says_nothing_of_others(self):
        assert "other_processes" not in read(pids=[])

    def test_whoever_is_not_on_the_card_itself_counts_all_but_its_own(self):
        assert card(pids=[4, 5]).other_processes(frozenset({5}), computes=False) == 1
        assert card(pids=[]).other_processes(computes=False) == 0

    def test_processes_are_not_listed_at_every_sample_of_a_fast_sweep(self):
        seconds = iter([0.0, 0.1, 0.3])
        nvml = FakeNvml()
        telemetry = Telemetry(CPU, Card(nvml, "handle", pid=10), lambda: next(seconds))
        telemetry.read()
        nvml.state["pids"] = [10, 11]
        assert [telemetry.read()["other_processes"] for _ in range(2)] == [0, 1]


class TestMig:
    def test_a_part_is_found_by_the_name_that_cuda_gives_it(self):
        assert Card.find("GPU-1", FakeNvml("MIG-1", part_of="whole")).is_part
        assert Card.find("GPU-2", FakeNvml("GPU-1")) is None

    def test_a_part_has_the_whole_cards_clocks_and_no_power_of_its_own(self):
        found = read(part_of="whole")
        assert set(ALL) - set(found) == {"power_w"}
        assert card(part_of="whole").energy_j() is None

    def test_a_card_in_parts_of_which_it_is_not_known_which(self):
        found = read(mig_mode=1)
        assert set(found) == {"sm_clock_mhz", "memory_clock_mhz", "temperature_c", "throttle_reasons"}
