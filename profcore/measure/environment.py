"""What a run is measured on, read from the machine and the loaded model."""

from __future__ import annotations

import platform
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers

import profcore
from profcore.models.config import MolmoConfig
from profcore.models.recorded import shape_record
from profcore.spec.records import Environment
from profcore.spec.runs import Target
from profcore.spec.stages import Clock
from profcore.spec.text import counted

if TYPE_CHECKING:
    from profcore.engines.base import Engine
    from profcore.models.load import LoadedModel


def describe(
    target: Target,
    loaded: LoadedModel,
    engine: Engine,
    clock: Clock,
    cores: str | None = None,
    load: float | None = None,
) -> Environment:
    """The environment of a run on a loaded model.

    Args:
        target: What was asked for.
        loaded: The model.
        engine: What executes it.
        clock: How latencies are taken.
        cores: The cores that the run is pinned to, in words.
        load: The machine's load when it began.
    """
    model = loaded.model
    return Environment(
        device=str(model.device),
        **machine_of(model.device),
        model=target.model,
        weights=loaded.weights,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        dtype=str(model.dtype).removeprefix("torch."),
        engine=engine.name,
        experts=engine.experts,
        # Of an engine with experts of its own the modules' do not matter.
        experts_reason=(model.experts.reason or None) if engine.experts == str(model.experts) else None,
        attention=model.attention,
        clock=str(clock),
        shape=shape_record(model.config),
        cores=cores,
        load=load,
        active_parameters=active_parameters(model),
    )


def active_parameters(model: Any) -> int | None:
    """Parameters that one token uses at the model's own top-k; None of MolmoE, whose shape says it."""
    if isinstance(model.config, MolmoConfig):
        return None
    from profcore.models.families.counting import count

    return count(model.hf).active(model.config.top_k)


def machine_of(device: torch.device) -> dict[str, Any]:
    """Those fields of an environment that do not depend on the model."""
    return {
        "device_name": device_name(device),
        "driver": driver_of(device),
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "profcore": profcore.__version__,
        "commit": _commit(),
        "platform": f"{platform.system()} {platform.machine()}",
        "host": platform.node(),
        "card": card_of(device),
        "cpu": processor_name(),
    }


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's with the number of threads torch uses."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor_name()}, {counted(torch.get_num_threads(), 'thread')}"


def processor_name() -> str:
    """What the host's processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def card_of(device: torch.device) -> str | None:
    """The GPU's UUID, which tells it from every other, whatever its number here; None for a CPU."""
    if device.type != "cuda":
        return None
    properties = torch.cuda.get_device_properties(device)
    # Builds of torch for other makers' cards may have no UUID.
    return f"GPU-{properties.uuid}" if hasattr(properties, "uuid") else f"GPU-{properties.name}-{device.index}"


def driver_of(device: torch.device) -> str | None:
    """The version of a GPU's driver, where NVML says it."""
    if device.type != "cuda":
        return None
    with suppress(Exception):  # NVML may be missing or refuse
        import pynvml

        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    return None


@cache
def _commit() -> str | None:
    """Commit of this project's checkout, with '+' when it holds changes; None outside of one."""
    here = Path(__file__).parents[2]
    if not (here / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(here), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
