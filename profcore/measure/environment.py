"""What a run is measured on, read from the machine and the loaded model."""

from __future__ import annotations

import dataclasses
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import transformers

import profcore
from profcore.spec.records import Environment
from profcore.spec.runs import Target
from profcore.spec.stages import Clock

if TYPE_CHECKING:
    from profcore.engines.base import Engine
    from profcore.models.load import LoadedModel


def describe(target: Target, loaded: LoadedModel, engine: Engine, clock: Clock, driver: str | None) -> Environment:
    """The environment of a run on a loaded model."""
    model, device = loaded.model, loaded.model.device
    return Environment(
        device=str(device),
        device_name=device_name(device),
        driver=driver,
        cuda=torch.version.cuda if device.type == "cuda" else None,
        python=platform.python_version(),
        torch=torch.__version__,
        transformers=transformers.__version__,
        profcore=profcore.__version__,
        commit=_commit(),
        platform=f"{platform.system()} {platform.machine()}",
        model=target.model,
        weights=loaded.weights,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        dtype=str(model.dtype).removeprefix("torch."),
        engine=engine.name,
        experts=engine.experts,
        attention=model.llm.config._attn_implementation,
        clock=str(clock),
        shape=dataclasses.asdict(model.config),
    )


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's with the number of threads torch uses."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {torch.get_num_threads()} threads"


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
