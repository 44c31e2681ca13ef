"""The worker: a process of its own that runs one `RunSpec` after another and keeps its model warm between them.

`execute` runs a spec to its spool, in this process; the command line calls it directly. `python -m
profcore.worker` is the process that `profcore.jobs` starts: it reads one JSON command a line from standard input
(`{"do": "run", "spool": path}`, `{"do": "tool", "answer": path, …}`, `{"do": "stop", "run": id}`) and writes one JSON
event a line to standard output. When its input ends, whoever started it is gone: it stops and leaves.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock, Timeout

from profcore.answers import write_answer
from profcore.engines import make_engine
from profcore.engines.base import PreparationError, StopRequestedError
from profcore.errors import UserError
from profcore.measure.ceilings import known_ceilings, measure_ceilings
from profcore.measure.environment import describe, device_name
from profcore.measure.loop import Routing, SettingFailed, SettingQuality, run_sweep
from profcore.measure.telemetry import Telemetry
from profcore.models.load import LoadedModel, load_model, resolve_device, resolve_dtype, resolve_experts
from profcore.spec.records import Sample
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage.spool import SpoolWriter, read_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from profcore.engines.base import Engine

_LOCK_POLL_S = 0.2


class ModelShelf:
    """Keeps the last loaded model and what its engine compiled, since both take longer than many a run."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._loaded: LoadedModel | None = None
        self._engine_key: tuple[str, str] | None = None
        self._engine: Engine | None = None

    def get(self, target: Target) -> LoadedModel:
        """The model for a target, loaded only if it is not the one at hand.

        Raises:
            UserError: There is no such device, dtype or model.
        """
        device = resolve_device(target.device)
        dtype = resolve_dtype(target.dtype, device)
        experts = resolve_experts(target.experts, device, dtype, target.engine)
        key = (target.model, device, dtype)
        if self._loaded is None or key != self._key:
            # Let go of the old model first: two may not fit.
            self._key, self._loaded = None, None
            self._engine_key, self._engine = None, None
            if device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.set_device(device)
            try:
                self._loaded = load_model(target.model, device, dtype, experts)
            except torch.cuda.OutOfMemoryError:
                raise UserError(
                    f"{target.model} in {str(dtype).removeprefix('torch.')} does not fit the memory of {device}."
                ) from None
            self._key = key
        self._loaded.model.llm.set_experts_implementation(experts)
        return self._loaded

    def engine(self, target: Target) -> Engine:
        """The target's engine on its model; made anew only for another model, engine or experts implementation.

        Raises:
            UserError: As `get`, or the engine does not run there.
        """
        loaded = self.get(target)
        key = (target.engine, loaded.model.experts)
        if self._engine is None or key != self._engine_key:
            # What the old one captured may hold the memory that the new one needs.
            self._engine_key, self._engine = None, None
            if loaded.model.device.type == "cuda":
                torch.cuda.empty_cache()
            self._engine = make_engine(target.engine, loaded.model)
            self._engine_key = key
        return self._engine


def execute(
    spec: RunSpec,
    writer: SpoolWriter,
    shelf: ModelShelf,
    stop: Callable[[], bool],
    seen: Callable[[Sample | SettingFailed | Routing | SettingQuality], None] | None = None,
    told: Callable[[str], None] | None = None,
) -> State:
    """Run a spec to its end, writing everything to its spool, and say how it ended.

    One run at a time measures on a device, whichever process asks: others wait for its lock.

    Args:
        spec: The run, already in the spool.
        writer: The spool.
        shelf: Where the model is kept.
        stop: Whether the run was asked to stop.
        seen: Called after each record of a sample, a setting's routing or quality, or a failed setting.
        told: Called with what is being done now, in words, which the spool also says.
    """

    def tell(text: str) -> None:
        writer.phase(text)
        if told:
            told(text)

    try:
        device = resolve_device(spec.target.device)
        with _device_lock(device, tell, stop):
            writer.state(State.RUNNING)
            tell(f"Loading {spec.target.model}")
            loaded, engine = shelf.get(spec.target), shelf.engine(spec.target)
            telemetry = Telemetry(device)
            writer.environment(describe(spec.target, loaded, engine, spec.sweep.clock, telemetry.driver))
            ceilings = known_ceilings(device, loaded.model.dtype)
            if ceilings is None:
                tell("Measuring what the device can do at most, once")
                ceilings = measure_ceilings(device, loaded.model.dtype)
            writer.ceilings(ceilings)
            tell("Measuring")
            for result in run_sweep(loaded, engine, spec.sweep, telemetry, stop, tell):
                if isinstance(result, Sample):
                    writer.sample(result)
                elif isinstance(result, Routing):
                    writer.routing(result.setting, result.prefill_experts)
                elif isinstance(result, SettingQuality):
                    found = result.quality
                    writer.quality(result.setting, found.kl, found.accuracy, found.queries)
                else:
                    writer.setting_failed(result.setting, result.reason)
                if seen:
                    seen(result)
    except StopRequestedError:
        writer.state(State.STOPPED, "Stopped on request.")
        return State.STOPPED
    except UserError as error:
        writer.state(State.FAILED, str(error))
        return State.FAILED
    except Exception as error:
        # A run must end with a reason whatever happens; the trace goes to the worker's log, not to a page.
        import traceback

        traceback.print_exc()
        writer.state(State.FAILED, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
        return State.FAILED
    writer.state(State.DONE)
    return State.DONE


def answer(command: dict[str, Any], shelf: ModelShelf, stop: Callable[[], bool]) -> None:
    """Run a tool and write its answer, whatever happens.

    Args:
        command: `answer` (the file), `tool` (its name), `target` and `arguments`.
        shelf: Where the model is kept.
        stop: Whether to give up.
    """
    from profcore.tools import run_tool

    path = Path(command["answer"])

    def tell(text: str) -> None:
        write_answer(path, "working", text)

    try:
        target = Target(**command["target"])
        with _device_lock(resolve_device(target.device), tell, stop):
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
        import traceback

        traceback.print_exc()
        write_answer(path, "failed", f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    else:
        write_answer(path, "done", "", result)


class _device_lock:  # noqa: N801  used like a function
    """A lock that every process of this machine takes before it measures on a device."""

    def __init__(self, device: torch.device, tell: Callable[[str], None], stop: Callable[[], bool]) -> None:
        name = str(device).replace(":", "-")
        self._lock = FileLock(Path(tempfile.gettempdir()) / f"profcore-{os.getuid()}-{name}.lock")
        self._device, self._tell, self._stop = device, tell, stop

    def __enter__(self) -> None:
        waiting = False
        while True:
            try:
                self._lock.acquire(timeout=0 if not waiting else _LOCK_POLL_S)
                return
            except Timeout:
                if not waiting:
                    self._tell(f"Waiting: another process measures on {self._device}")
                waiting = True
                if self._stop():
                    raise StopRequestedError from None

    def __exit__(self, *details: object) -> None:
        self._lock.release()


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
            # The same question may be asked again after it was stopped.
            stopped.discard(question)
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
