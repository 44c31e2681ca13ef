"""NVML as a test has it: one card whose state is said, and functions that it may lack one by one."""

# Its functions are called as those of NVML.
# ruff: noqa: N802

from __future__ import annotations

from types import SimpleNamespace


class FakeNvml:
    """Answers as the module `pynvml` does.

    Attributes:
        uuid: What the card is called.
        state: What it answers, by the names of this class's arguments.
        lacks: Functions that this card does not support.
    """

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    class NVMLError(Exception):
        """What NVML raises."""

    def __init__(self, uuid: str = "GPU-1", lacks: tuple[str, ...] = (), **state) -> None:
        self.uuid, self.lacks = uuid, set(lacks)
        self.state = {
            "sm": 1980, "memory": 2619, "temperature": 41, "power_mw": 250_500, "energy_mj": 7_000, "reasons": 0,
            "used": 30 * 2**30, "pids": [10], "samples": [], "gpu": 0, "mig_mode": 0, "part_of": None, **state,
        }  # fmt: skip

    def __getattribute__(self, name):
        if name.startswith("nvmlDevice") and name in object.__getattribute__(self, "lacks"):
            raise FakeNvml.NVMLError("not supported")
        return object.__getattribute__(self, name)

    def nvmlInit(self):
        """Nothing to start."""

    def nvmlDeviceGetHandleByUUID(self, uuid):
        if uuid != self.uuid:
            raise self.NVMLError("not found")
        return "handle"

    def nvmlDeviceIsMigDeviceHandle(self, handle):
        return SimpleNamespace(value=int(bool(self.state["part_of"]) and handle != self.state["part_of"]))

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle):
        return self.state["part_of"]

    def nvmlDeviceGetMigMode(self, handle):
        return [self.state["mig_mode"], self.state["mig_mode"]]

    def nvmlDeviceGetClockInfo(self, handle, kind):
        self._refuse_part(handle)
        return self.state["sm" if kind == self.NVML_CLOCK_SM else "memory"]

    def nvmlDeviceGetTemperature(self, handle, sensor):
        self._refuse_part(handle)
        return self.state["temperature"]

    def nvmlDeviceGetPowerUsage(self, handle):
        self._refuse_part(handle)
        return self.state["power_mw"]

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        self._refuse_part(handle)
        return self.state["energy_mj"]

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle):
        self._refuse_part(handle)
        return self.state["reasons"]

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):
        self._refuse_part(handle)
        return self.state["reasons"]

    def nvmlDeviceGetMemoryInfo(self, handle):
        return SimpleNamespace(used=self.state["used"])

    def nvmlDeviceGetUtilizationRates(self, handle):
        self._refuse_part(handle)
        return SimpleNamespace(gpu=self.state["gpu"])

    def nvmlDeviceGetComputeRunningProcesses(self, handle):
        return [SimpleNamespace(pid=pid) for pid in self.state["pids"]]

    def nvmlDeviceGetProcessUtilization(self, handle, since):
        found = [SimpleNamespace(pid=p, timeStamp=t, smUtil=s) for p, t, s in self.state["samples"] if t > since]
        if not found:
            raise self.NVMLError("not found")
        return found

    def _refuse_part(self, handle):
        """A part of a card has no clocks of its own."""
        if self.state["part_of"] and handle != self.state["part_of"]:
            raise self.NVMLError("not supported")
