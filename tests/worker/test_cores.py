"""Each device's worker has cores of its own, which nobody else of its process tree runs on while it measures."""

import json
import os
import subprocess
import sys

import pytest
import torch

from profcore.worker import cores
from profcore.worker.cores import CPU, Machine, share_of, shares
from profcore.worker.pinning import pinned
from tests.support import ROOT, seconds

PAIRS = tuple((core, core + 16) for core in range(16))
"""Sixteen cores of two threads each, the first eight of node 0."""
NODES = {core: 0 if core % 16 < 8 else 1 for core in range(32)}


@pytest.fixture
def switched_on(monkeypatch):
    monkeypatch.delenv("PROFCORE_PINNING")


def single(number):
    return tuple((core,) for core in range(number))


def test_a_card_has_whole_cores_of_its_node():
    found = shares(Machine(PAIRS, NODES, {"a": 1, "b": 0}))
    assert found["a"] == {10, 11, 12, 13, 14, 15, 26, 27, 28, 29, 30, 31}
    assert {NODES[core] for core in found["a"]} == {1}
    assert {NODES[core] for core in found["b"]} == {0}


@pytest.mark.parametrize(
    "machine",
    [
        Machine(PAIRS, NODES, {"a": 0, "b": 0, "c": 1}),
        Machine(PAIRS, NODES, {"a": None, "b": 0}),
        Machine(PAIRS, {}, {"a": 0}),
        Machine(single(64), {}, dict.fromkeys("abcdefgh")),
        Machine(single(4), {}, {"a": None}),
    ],
)
def test_no_core_is_of_two_and_some_are_left(machine):
    found = shares(machine)
    owned = [core for own in found.values() for core in own]
    everything = {core for physical in machine.cores for core in physical}
    assert len(owned) == len(set(owned))
    assert set(owned) < everything
    assert all(found[card] for card in machine.cards)


def test_the_cpu_has_all_cores_but_one():
    assert shares(Machine(single(4), {}, {})) == {CPU: {1, 2, 3}}


def test_what_is_said_of_a_share(switched_on, monkeypatch):
    machine = Machine(PAIRS, NODES, {"a": 1})
    assert str(share_of("a", machine)) == "10-15,26-31 of 32, NUMA node 1"
    assert str(share_of(CPU, Machine(single(1), {}, {}))) == "not pinned: there is one core"
    crowded = Machine(single(2), {}, {"a": None, "b": None})
    assert str(share_of("b", crowded)) == "not pinned: there are too few cores"
    assert str(share_of("another", machine)) == "not pinned: NVML does not tell of the card"
    monkeypatch.setenv("PROFCORE_PINNING", "off")
    assert str(share_of("a", machine)) == "not pinned: PROFCORE_PINNING is off"


def test_numbers_as_the_kernel_writes_them():
    assert cores._numbers("0-3,8,10-11\n") == {0, 1, 2, 3, 8, 10, 11}
    assert cores._ranges([8, 0, 1, 2, 11, 10]) == "0-2,8,10-11"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads are not told where to run here")
def test_what_measures_runs_on_its_own_cores_and_everywhere_afterwards(switched_on, monkeypatch):
    everywhere = sorted(os.sched_getaffinity(0))
    monkeypatch.setattr(
        "profcore.worker.pinning.this_machine", lambda: Machine(tuple((c,) for c in everywhere), {}, {})
    )
    asked, threads = [], torch.get_num_threads()
    monkeypatch.setattr("profcore.worker.pinning.run_on", lambda given: asked.append(sorted(given)))
    with pinned(torch.device("cpu")) as host:
        inside = torch.get_num_threads()
    if len(everywhere) == 1:
        assert (asked, host.cores) == ([], "not pinned: there is one core")
    else:
        assert asked == [everywhere[1:], everywhere]
        assert inside == min(threads, len(everywhere) - 1)
        assert host.cores.endswith(f"of {len(everywhere)}")
    assert torch.get_num_threads() == threads
    assert host.load >= 0


PROGRAM = """
import json, os, threading
from unittest import mock
from profcore.worker import cores
from profcore.worker.parent import start_process

asked = []
machine = cores.Machine(tuple((core,) for core in range(8)), {}, {"a": None, "b": None})
start_process(threading.get_native_id)
begun, end = threading.Event(), threading.Event()
other = threading.Thread(target=lambda: (begun.set(), end.wait()))
other.start(); begun.wait()
with mock.patch.object(cores, "this_machine", lambda: machine), \\
        mock.patch.object(os, "sched_setaffinity", lambda thread, given: asked.append((thread, sorted(given)))):
    with cores.keep_off.of("a"):
        one = dict(asked); asked.clear()
        with cores.keep_off.of("b"):
            both = dict(asked); asked.clear()
        asked.clear()
    after = dict(asked)
starter = start_process(threading.get_native_id)
end.set()
print(json.dumps({"one": list(one.values()), "both": list(both.values()), "after": list(after.values()),
                  "starter": starter in one, "own": threading.get_native_id() in one, "other": other.native_id in one}))
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads are not told where to run here")
def test_every_thread_keeps_off_while_a_card_is_measured_but_the_one_that_starts_workers():
    environment = {name: value for name, value in os.environ.items() if name != "PROFCORE_PINNING"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds(60),
        check=True,
    )
    told = json.loads(done.stdout)
    assert all(given == [0, 1, 5, 6, 7] for given in told["one"])
    assert all(given == [0, 1] for given in told["both"])
    assert all(given == list(range(8)) for given in told["after"])
    assert (told["starter"], told["own"], told["other"]) == (False, True, True)
