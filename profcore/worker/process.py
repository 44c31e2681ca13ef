"""The worker: a process of its own that runs one `RunSpec` after another and keeps its model warm between them.

`python -m profcore.worker` is the process that `profcore.worker.queue` starts: it reads one JSON command a line from
standard input (`{"do": "run", "spool": path}`, `{"do": "tool", "answer": path, …}`, `{"do": "stop", "run": id}`) and
writes one JSON event a line to standard output. When its input ends, whoever started it is gone: it stops and leaves.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from profcore.engines.base import PreparationError, StopRequestedError
from profcore.errors import UserError
from profcore.measure.environment import device_name
from profcore.models.load import resolve_device
from profcore.spec.runs import Target
from profcore.storage.spool import SpoolWriter, read_spec
from profcore.worker.answers import write_answer
from profcore.worker.device_lock import device_lock
from profcore.worker.execute import execute
from profcore.worker.shelf import ModelShelf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
        with device_lock(resolve_device(target.device), tell, stop):
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


def devices() -> list[dict[str, str]]:
    """The devices of this machine, GPUs first: `id` and `name` of each."""
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_available() else range(0)
    found = [torch.device("cuda", index) for index in gpus] + [torch.device("cpu")]
    return [{"id": str(device), "name": device_name(device)} for device in found]


def main() -> None:
    """Serve commands from standard input until it ends."""
    # Libraries print to standard output at will, so events go out through a copy of it.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(event: str, **fields: Any) -> None:
        with suppress(BrokenPipeError):
            out.write(json.dumps({"event": event, **fields}) + "\n")

    asked: queue.Queue[dict[str, Any] | None] = queue.Queue()
    stopped: set[str] = set()
    gone = threading.Event()

    def listen() -> None:
        for command in _commands(sys.stdin.buffer):
            if command["do"] == "tool":
                # The same question may be asked again after it was stopped; a stop that follows is of this one.
                stopped.discard(command["id"])
            if command["do"] in ("run", "tool"):
                asked.put(command)
            elif command["do"] == "stop":
                stopped.add(command["run"])
        gone.set()
        asked.put(None)

    threading.Thread(target=listen, daemon=True).start()
    tell("ready", devices=devices(), torch=torch.__version__)
    shelf = ModelShelf()
    while (command := asked.get()) is not None and not gone.is_set():
        if command["do"] == "tool":
            question = command["id"]
            answer(command, shelf, lambda question=question: gone.is_set() or question in stopped)  # type: ignore[misc]
            tell("ended", run=question)
            continue
        path = Path(command["spool"])
        spec = read_spec(path)
        run_id = spec.id
        with SpoolWriter(path) as writer:
            state = execute(spec, writer, shelf, lambda run_id=run_id: gone.is_set() or run_id in stopped)  # type: ignore[misc]
        tell("ended", run=spec.id, state=str(state))


def _commands(stream: Any) -> Iterator[dict[str, Any]]:
    for line in stream:
        with suppress(ValueError):
            yield json.loads(line)


if __name__ == "__main__":
    main()
