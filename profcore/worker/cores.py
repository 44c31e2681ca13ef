"""Which cores each device's worker has to itself, and who keeps off them. Standard library only.

What launches kernels one by one waits for its core, so pages that are drawn on it, or another card's worker, make it
slower. The shares follow from the machine alone, so that processes that know nothing of each other agree on them: each
card's worker has whole cores of the card's NUMA node, and a quarter of each node is left to all others. Without a card
the CPU's worker has all cores but the first. Only Linux tells threads where to run; elsewhere nothing is kept apart.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from profcore.worker.parent import start_process

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

CPU = "cpu"
_SWITCH = "PROFCORE_PINNING"
_MOST_PHYSICAL = 8
_LEFT = 4


@dataclass(frozen=True)
class Machine:
    """What shares follow from.

    Attributes:
        cores: What this process may run on, those of one physical core together.
        nodes: The NUMA node of each core, as far as it is told.
        cards: The NUMA node of each card by its UUID, in the order of their numbers; None where it is not told.
    """

    cores: tuple[tuple[int, ...], ...]
    nodes: Mapping[int, int]
    cards: Mapping[str, int | None]


@dataclass(frozen=True)
class Share:
    """What a device's worker has to itself.

    Attributes:
        cores: None at all where it is not pinned.
        reason: Why it is not.
        node: The NUMA node that all of them are of; None where it is not told.
        all_cores: How many there are.
    """

    cores: frozenset[int]
    reason: str
    node: int | None
    all_cores: int

    def __str__(self) -> str:
        if not self.cores:
            return f"not pinned: {self.reason}"
        node = "" if self.node is None else f", NUMA node {self.node}"
        return f"{_ranges(self.cores)} of {self.all_cores}{node}"


def share_of(device: str, machine: Machine) -> Share:
    """The share of a card, by its UUID, or of the CPU."""
    everything = [core for physical in machine.cores for core in physical]
    if os.environ.get(_SWITCH, "").lower() == "off":
        return Share(frozenset(), f"{_SWITCH} is off", None, len(everything))
    if len(everything) < 2:
        return Share(frozenset(), "there is one core", None, len(everything))
    found = shares(machine).get(device)
    if found is None:
        return Share(frozenset(), "NVML does not tell of the card", None, len(everything))
    if not found:
        return Share(frozenset(), "there are too few cores", None, len(everything))
    nodes = {machine.nodes.get(core) for core in found}
    return Share(found, "", nodes.pop() if len(nodes) == 1 else None, len(everything))


def shares(machine: Machine) -> dict[str, frozenset[int]]:
    """The cores of each card's worker, by its UUID, and of the CPU's; no core is of two."""
    everything = [core for physical in machine.cores for core in physical]
    if not machine.cards:
        return {CPU: frozenset(everything[1:])}
    found: dict[str, frozenset[int]] = {}
    for cards, physical in _neighbourhoods(machine):
        left = max(len(physical) // _LEFT, 1)
        each = min((len(physical) - left) // len(cards), _MOST_PHYSICAL)
        for place, card in enumerate(cards):
            begin = left + place * each
            found[card] = frozenset(core for cores in physical[begin : begin + each] for core in cores)
    taken = frozenset().union(*found.values())
    rest = [core for core in everything if core not in taken]
    return {**found, CPU: frozenset(rest[(len(rest) + 1) // 2 :])}


def _neighbourhoods(machine: Machine) -> Iterator[tuple[list[str], list[tuple[int, ...]]]]:
    """Cards with the physical cores of their node; all together where one card's node, or its cores, are not known."""
    by_node: dict[int, list[tuple[int, ...]]] = {}
    for physical in machine.cores:
        by_node.setdefault(machine.nodes.get(physical[0], -1), []).append(physical)
    if any(node is None or node not in by_node for node in machine.cards.values()):
        yield list(machine.cards), list(machine.cores)
        return
    for node, its_cores in by_node.items():
        if cards := [card for card, own in machine.cards.items() if own == node]:
            yield cards, its_cores


@cache
def this_machine() -> Machine:
    """This machine, as it is when it is first asked for: later this process may have less of it."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    physical = dict.fromkeys(tuple(sorted(_siblings(core) & set(allowed))) or (core,) for core in allowed)
    return Machine(tuple(physical), _nodes_of_cores(), _cards())


def _siblings(core: int) -> set[int]:
    """The threads of a physical core."""
    with suppress(OSError, ValueError):
        text = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text(encoding="ascii")
        return _numbers(text)
    return {core}


def _nodes_of_cores() -> dict[int, int]:
    found: dict[int, int] = {}
    with suppress(OSError, ValueError):
        for node in Path("/sys/devices/system/node").glob("node[0-9]*"):
            numbers = _numbers((node / "cpulist").read_text(encoding="ascii"))
            found |= dict.fromkeys(numbers, int(node.name.removeprefix("node")))
    return found


def _cards() -> dict[str, int | None]:
    """The cards that NVML tells of, whichever of them this process may use."""
    found: dict[str, int | None] = {}
    with suppress(Exception):  # NVML may be missing or refuse
        import pynvml

        pynvml.nvmlInit()
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            bus = pynvml.nvmlDeviceGetPciInfo(handle).busId
            uuid = pynvml.nvmlDeviceGetUUID(handle)
            found[_text(uuid)] = _node_of_card(_text(bus))
    return found


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _node_of_card(bus: str) -> int | None:
    """The NUMA node of a card; NVML writes eight digits of its domain where the kernel has four."""
    domain, rest = bus.lower().split(":", 1)
    with suppress(OSError, ValueError):
        node = int(Path(f"/sys/bus/pci/devices/{domain[-4:]}:{rest}/numa_node").read_text(encoding="ascii"))
        return node if node >= 0 else None
    return None


def _numbers(text: str) -> set[int]:
    """What the kernel writes as '0-3,8'."""
    found: set[int] = set()
    for part in text.strip().split(","):
        if part:
            first, _, last = part.partition("-")
            found |= set(range(int(first), int(last or first) + 1))
    return found


def _ranges(cores: Iterable[int]) -> str:
    """The reverse of `_numbers`."""
    parts: list[list[int]] = []
    for core in sorted(cores):
        if parts and core == parts[-1][1] + 1:
            parts[-1][1] = core
        else:
            parts.append([core, core])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


class KeepOff:
    """Keeps this process off the cores of the devices that its workers are measuring on.

    The thread that starts workers may still run everywhere, and so may they.
    """

    def __init__(self) -> None:
        self._measuring: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def of(self, device: str) -> Iterator[None]:
        """While inside, threads of this process keep off a device's cores.

        Args:
            device: A card's UUID or `CPU`.
        """
        self._count(device, 1)
        try:
            yield
        finally:
            self._count(device, -1)

    def _count(self, device: str, more: int) -> None:
        with self._lock:
            self._measuring[device] += more
            machine = this_machine()
            taken = [share_of(each, machine).cores for each, number in self._measuring.items() if number > 0]
            everything = {core for physical in machine.cores for core in physical}
            if rest := everything - frozenset().union(*taken):
                run_on(rest, but=start_process(threading.get_native_id))


keep_off = KeepOff()
"""This process's."""


def run_on(cores: Collection[int], but: int | None = None) -> None:
    """Have the threads of this process, and what it starts from now on, run on these cores.

    Args:
        cores: Which.
        but: A thread that is left as it is.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    for thread in _threads():
        if thread != but:
            # One that has ended meanwhile needs no core.
            with suppress(OSError):
                os.sched_setaffinity(thread, cores)


def _threads() -> list[int]:
    """The threads of this process by the numbers that Linux gives them."""
    with suppress(OSError):
        return [int(path.name) for path in Path("/proc/self/task").iterdir()]
    return [threading.get_native_id()]
