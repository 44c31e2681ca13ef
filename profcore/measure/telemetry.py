"""What the GPU reports of itself beside each sample, through NVML; nothing where there is no NVML."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch


class Telemetry:
    """Reads one GPU's clock, temperature and power.

    Source: NVIDIA Management Library, through nvidia-ml-py.
    """

    def __init__(self, device: torch.device) -> None:
        self._handle: Any = None
        self.driver: str | None = None
        if device.type != "cuda":
            return
        with suppress(Exception):  # NVML may be missing or refuse; a run is measured without it
            import pynvml

            pynvml.nvmlInit()
            uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
            self._nvml = pynvml
            self.driver = pynvml.nvmlSystemGetDriverVersion()
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)

    def read(self) -> dict[str, float] | None:
        """SM clock (MHz), temperature (°C), power (W) and the bit mask of throttle reasons, or None."""
        if self._handle is None:
            return None
        nvml, handle = self._nvml, self._handle
        try:
            return {
                "sm_clock_mhz": nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
                "temperature_c": nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
                "power_w": nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
                "throttle_reasons": nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle),
            }
        except nvml.NVMLError:
            return None
