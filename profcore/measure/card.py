"""One GPU as NVML sees it: clocks, power, memory, who else computes on it; no torch, so that any process may ask.

A card, a driver or a container may know some of it and not the rest, so each figure is asked for by itself and is None
where NVML does not give it; nothing here raises.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any


class Card:
    """A GPU, or a part of one that MIG has cut off.

    Of a part, clocks, temperature and throttle reasons are the whole card's, which has one of each; power and energy
    are left out, since NVML counts them for all parts together.

    Attributes:
        is_part: Whether it is a part of a card.

    Source: NVIDIA Management Library, through nvidia-ml-py.
    """

    def __init__(self, nvml: Any, handle: Any, pid: int | None = None) -> None:
        """A card by its handle.

        Args:
            nvml: The module `pynvml`, started, or what answers as it does.
            handle: NVML's own of the card.
            pid: The process that measures; this one unless given.
        """
        self._nvml, self._handle = nvml, handle
        self._pid = os.getpid() if pid is None else pid
        named = self._is_mig(handle)
        whole = self._ask("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", handle) if named else None
        mode = None if named else self._ask("nvmlDeviceGetMigMode", handle)
        self.is_part = named or bool(mode and mode[0])
        # Of a card that is cut in parts, and called by its own name, it is not known which part is meant.
        self._part_unknown = self.is_part and not named
        self._whole = handle if whole is None else whole
        self._seen_us = 0

    @classmethod
    def find(cls, uuid: str | None, nvml: Any = None) -> Card | None:
        """The card of a UUID, as `measure.environment.card_of` writes it; None where NVML or the card is not there.

        Args:
            uuid: Of the card, or of a part of one, which CUDA calls by the same prefix.
            nvml: As in `Card`; pynvml unless given.
        """
        if uuid is None:
            return None
        with suppress(Exception):  # the library may be missing, or refuse to start
            if nvml is None:
                import pynvml

                nvml = pynvml
            nvml.nvmlInit()
            for name in (uuid, uuid.replace("GPU-", "MIG-", 1)):
                with suppress(nvml.NVMLError):
                    return cls(nvml, nvml.nvmlDeviceGetHandleByUUID(name))
        return None

    def sm_clock_mhz(self) -> int | None:
        """The clock of the streaming multiprocessors."""
        return self._ask("nvmlDeviceGetClockInfo", self._whole, self._nvml.NVML_CLOCK_SM)

    def memory_clock_mhz(self) -> int | None:
        """The memory's clock."""
        return self._ask("nvmlDeviceGetClockInfo", self._whole, self._nvml.NVML_CLOCK_MEM)

    def temperature_c(self) -> int | None:
        """The chip's temperature."""
        return self._ask("nvmlDeviceGetTemperature", self._whole, self._nvml.NVML_TEMPERATURE_GPU)

    def power_w(self) -> float | None:
        """The card's power: at once or averaged over up to a second, as the card's generation has it."""
        found = None if self.is_part else self._ask("nvmlDeviceGetPowerUsage", self._whole)
        return None if found is None else found / 1e3

    def energy_j(self) -> float | None:
        """What the card has used since its driver was loaded, by its counter."""
        found = None if self.is_part else self._ask("nvmlDeviceGetTotalEnergyConsumption", self._whole)
        return None if found is None else found / 1e3

    def throttle_reasons(self) -> int | None:
        """Why the clocks are not higher, a bit each (see `spec.throttling`)."""
        # Older drivers know the second name alone.
        for name in ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"):
            found = self._ask(name, self._whole)
            if found is not None:
                return found
        return None

    def memory_used_bytes(self) -> int | None:
        """Memory in use by all processes and the driver together."""
        found = None if self._part_unknown else self._ask("nvmlDeviceGetMemoryInfo", self._handle)
        return None if found is None else int(found.used)

    def utilisation_percent(self) -> int | None:
        """The share of the last moments (a sixth of a second to a second) in which any kernel ran."""
        found = self._ask("nvmlDeviceGetUtilizationRates", self._whole)
        return None if found is None else int(found.gpu)

    def other_processes(self, own: frozenset[int] = frozenset(), computes: bool = True) -> int | None:
        """How many other processes hold the card to compute on it; None where NVML does not show processes here.

        In a container NVML lists either nothing, which is then no answer for a process that is on the card itself, or
        processes by numbers of outside, among which this one is one without being told apart.

        Args:
            own: Processes that are not others, besides the one that measures.
            computes: Whether the process that measures is on the card itself.
        """
        pids = self._pids()
        if pids is None:
            return None
        mine = {self._pid, *own}
        if not computes and own and not own & pids:
            # By their numbers of outside a container, or not on the card yet: it is not said that others are there.
            return max(len(pids) - len(own), 0)
        if not computes or self._pid in pids:
            return len(pids - mine)
        return len(pids) - 1 if pids else None

    def others_utilisation_percent(self) -> int | None:
        """The share of the last moments in which others' kernels ran, added up; None where that cannot be told.

        NVML samples processes now and then, so this is of some moment since it was last asked.
        """
        pids = self._pids()
        if not pids or self._pid not in pids:
            return None
        if pids == {self._pid}:
            return 0
        found = self._ask("nvmlDeviceGetProcessUtilization", self._whole, self._seen_us)
        if not found:
            return None
        self._seen_us = max(each.timeStamp for each in found)
        latest = {each.pid: each.smUtil for each in sorted(found, key=lambda each: each.timeStamp)}
        return sum(share for pid, share in latest.items() if pid in pids and pid != self._pid)

    def _pids(self) -> set[int] | None:
        """The processes that compute on it; those that only draw are none."""
        found = None if self._part_unknown else self._ask("nvmlDeviceGetComputeRunningProcesses", self._handle)
        return None if found is None else {each.pid for each in found}

    def _is_mig(self, handle: Any) -> bool:
        found = self._ask("nvmlDeviceIsMigDeviceHandle", handle)
        return bool(getattr(found, "value", found))

    def _ask(self, function: str, *arguments: Any) -> Any:
        """What NVML answers, or None: not every card, driver and version of the library knows everything."""
        try:
            return getattr(self._nvml, function)(*arguments)
        except (self._nvml.NVMLError, AttributeError):
            return None
