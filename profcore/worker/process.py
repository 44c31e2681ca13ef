"""The worker: a process of its own that runs one `RunSpec` after another and keeps its model warm between them.

`python -m profcore.worker` is the process that `profcore.worker.queue` starts; `worker.serving` is its line to it.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from profcore.engines.base import PreparationError, StopRequestedError
from profcore.errors import UserError
from profcore.measure.environment import device_name, machine_of
from profcore.measure.garbage import tidy
from profcore.measure.loop import Result
from profcore.models.load import resolve_device
from profcore.models.memory import total_bytes
from profcore.spec.records import Sample
from profcore.spec.runs import Target
from profcore.storage.spool import SpoolWriter, read_spec
from profcore.worker.answers import write_answer
from profcore.worker.device_lock import device_lock
from profcore.worker.execute import execute
from profcore.worker.pinning import pinned
from profcore.worker.shelf import ModelShelf

if TYPE_CHECKING:
    from collections.abc import Callable

    from profcore.worker.beat import Beat
    from profcore.worker.serving import Line, Stop

_log = logging.getLogger(__name__)


def answer(command: dict[str, Any], shelf: ModelShelf, stop: Callable[[], bool]) -> None:
    """Run a tool and write its answer, whatever happens.

    Args:
        command: `answer` (the file), `tool` (its name), `target` and `arguments`.
        shelf: Where the model is kept.
        stop: Whether to give up.
    """
    from profcore.worker.tools import run_tool

    path = Path(command["answer"])

    def tell(text: str) -> None:
        write_answer(path, "working", text)

    try:
        target = Target(**command["target"])
        device = resolve_device(target.device)
        with device_lock(device, tell, stop, command["tool"]), pinned(device):
            result = run_tool(command["tool"], shelf, target, command["arguments"], tell, stop)
    except StopRequestedError:
        write_answer(path, "failed", "Stopped before it was done.")
    except UserError as error:
        write_answer(path, "failed", str(error))
    except PreparationError as error:
        write_answer(path, "failed", f"It could not be compiled and captured ({error}).")
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        write_answer(path, "failed", "Out of GPU memory.")
    except Exception as error:
        _log.exception("question %s failed", command["id"])
        write_answer(path, "failed", f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    else:
        write_answer(path, "done", "", result)


def run(command: dict[str, Any], shelf: ModelShelf, stop: Stop, beat: Beat) -> dict[str, Any]:
    """Measure what is left of a run, and say how it ended.

    Args:
        command: `spool` (the file), and `device` where the run is to go on with another than it was asked for.
        shelf: Where the model is kept.
        stop: Whether to give up.
        beat: Told what is measured.
    """

    def seen(result: Result) -> None:
        if isinstance(result, Sample):
            beat.took(result.total_ms)

    path = Path(command["spool"])
    spec = read_spec(path)
    if command.get("device"):
        spec = replace(spec, target=replace(spec.target, device=command["device"]))
    with SpoolWriter(path) as writer:
        state = execute(spec, writer, shelf, stop, seen, at=beat.at, stop_reason=stop.reason)
    return {"state": str(state)}


def devices() -> list[dict[str, Any]]:
    """The devices of this machine, GPUs first.

    Of each its `id` and `name`, its `machine` (see `machine_of`), and `memory_bytes`, all of its memory.
    """
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_available() else range(0)
    found = []
    for device in [torch.device("cuda", index) for index in gpus] + [torch.device("cpu")]:
        # A CPU is called by the threads that a run has there.
        with pinned(device):
            found.append(
                {
                    "id": str(device),
                    "name": device_name(device),
                    "machine": machine_of(device),
                    "memory_bytes": total_bytes(device),
                }
            )
    return found


def main(line: Line) -> None:
    """Serve commands until the input ends."""
    line.tell("ready", devices=devices(), torch=torch.__version__)
    shelf = ModelShelf()

    def do(command: dict[str, Any], stop: Stop) -> dict[str, Any]:
        if command["do"] == "run":
            return run(command, shelf, stop, line.beat)
        answer(command, shelf, stop)
        return {}

    line.serve(do, idle=tidy)
