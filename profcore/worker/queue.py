"""Starting, watching and stopping workers: one queue of runs and questions, and one worker process, per device.

A run is written into its spool when it is submitted, so that it is seen from everywhere at once and outlives
whoever asked for it. What became of it is read from the spool, never kept here.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.errors import UserError
from profcore.paths import REPOSITORY
from profcore.spec.runs import RunSpec, Target
from profcore.spec.stages import State
from profcore.storage.spool import SpoolWriter, end_abandoned, spool_path
from profcore.worker.answers import read_answer, write_answer

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEAVE_S = 5.0


@dataclass(frozen=True)
class Question:
    """Something to ask a worker's tool (see `profcore.worker.tools`), and the file that its answer goes to."""

    id: str
    tool: str
    target: Target
    arguments: dict[str, Any]
    answer: Path


class _Worker:
    """A worker process and the events it tells."""

    def __init__(self, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as errors:
            # A session of its own: Ctrl-C in the terminal must not hit it in the middle of a sample.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "profcore.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=REPOSITORY,
                start_new_session=True,
            )

    def tell(self, **command: Any) -> None:
        """Send a command; a process that is gone is found out by `events`."""
        assert self.process.stdin
        with suppress(BrokenPipeError, ValueError):
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
            self.process.stdin.flush()

    def events(self) -> Iterator[dict[str, Any]]:
        """Events as they come, until the process is gone."""
        assert self.process.stdout
        for line in self.process.stdout:
            yield json.loads(line)

    def leave(self) -> None:
        """End the process: it stops by itself when its input ends."""
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class _DeviceQueue:
    """The runs and questions of one device, one after another, on one worker."""

    def __init__(self, spools: Path, worker: _Worker | None, log: Path) -> None:
        self._spools, self._worker, self._log = spools, worker, log
        self._waiting: deque[RunSpec | Question] = deque()
        self._current: RunSpec | Question | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def put(self, task: RunSpec | Question) -> None:
        with self._changed:
            self._waiting.append(task)
            self._changed.notify_all()

    def position(self, run_id: str) -> int | None:
        """How many tasks are before this one; None when it does not wait here."""
        with self._changed:
            ids = [task.id for task in self._waiting]
            return ids.index(run_id) + (self._current is not None) if run_id in ids else None

    @property
    def worker_pid(self) -> int | None:
        """The worker's process id; None where none runs."""
        worker = self._worker
        return worker.process.pid if worker and worker.process.poll() is None else None

    def stop(self, run_id: str) -> bool:
        with self._changed:
            for task in self._waiting:
                if task.id == run_id:
                    self._waiting.remove(task)
                    if isinstance(task, Question):
                        write_answer(task.answer, "failed", "Stopped before it began.")
                        return True
                    with SpoolWriter(spool_path(self._spools, run_id)) as writer:
                        writer.state(State.STOPPED, "Stopped before it began.")
                    return True
            if self._current and self._current.id == run_id and self._worker:
                self._worker.tell(do="stop", run=run_id)
                return True
        return False

    def close(self) -> None:
        with self._changed:
            self._closed = True
            waiting = [task.id for task in self._waiting]
            self._changed.notify_all()
            worker = self._worker
        for run_id in waiting:
            self.stop(run_id)
        if worker:
            worker.leave()
        self._thread.join(_LEAVE_S)

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                self._current = self._waiting.popleft()
                if self._worker is None or self._worker.process.poll() is not None:
                    self._worker = _Worker(self._log)
                worker, task = self._worker, self._current
            path = spool_path(self._spools, task.id)
            if isinstance(task, Question):
                target = task.target.to_dict()
                arguments = {"tool": task.tool, "target": target, "arguments": task.arguments}
                worker.tell(do="tool", id=task.id, answer=str(task.answer), **arguments)
            else:
                worker.tell(do="run", spool=str(path))
            ended = any(event["event"] == "ended" and event["run"] == task.id for event in worker.events())
            if not ended:
                code = worker.process.wait()
                how = f"signal {-code}" if code < 0 else f"exit status {code}"
                why = f"The worker process ended in the middle of it ({how}); see {self._log.name}."
                if isinstance(task, Question):
                    write_answer(task.answer, "failed", why)
                elif path.exists():
                    end_abandoned(path, why)
            with self._changed:
                self._current = None


class Jobs:
    """All devices' queues. One per spool directory and process."""

    def __init__(self, spools: Path) -> None:
        """Start the first worker, which also says what devices there are.

        Spools without an end that nobody writes are of a process that is gone; they are marked failed.
        """
        self._spools = spools
        self._log = spools / "worker.log"
        self._queues: dict[str, _DeviceQueue] = {}
        self._lock = threading.Lock()
        self._asked: set[str] = set()
        self._devices: queue.Queue[list[dict[str, str]]] = queue.Queue()
        self._known: list[dict[str, str]] | None = None
        spools.mkdir(parents=True, exist_ok=True)
        for path in spools.glob("*.jsonl"):
            with suppress(UserError, OSError):
                if not _is_import(path):
                    end_abandoned(path, "The program that had started this run ended before it was done.")
        self._first = _Worker(self._log)
        threading.Thread(target=self._greet, daemon=True).start()

    def _greet(self) -> None:
        event = next(self._first.events(), None)
        self._devices.put(event["devices"] if event else [])

    def devices(self, wait_s: float = 60.0) -> list[dict[str, str]]:
        """This machine's devices, GPUs first: `id` and `name` of each.

        Raises:
            UserError: The worker did not come up.
        """
        with self._lock:
            if self._known is None:
                try:
                    self._known = self._devices.get(timeout=wait_s)
                except queue.Empty:
                    self._known = []
            if not self._known:
                self._known = None
                raise UserError(f"The worker process did not start; {self._log} says why.")
            return self._known

    def submit(self, spec: RunSpec) -> None:
        """Queue a run on its device; it is in the spool directory when this returns.

        Raises:
            UserError: There is no such device.
        """
        self._check_device(spec.target)
        with SpoolWriter(spool_path(self._spools, spec.id)) as writer:
            writer.run(spec)
            writer.state(State.QUEUED)
        self._put(spec)

    def ask(self, question: Question) -> None:
        """Queue a question on its device, unless the same is under way; its answer says what becomes of it.

        Raises:
            UserError: There is no such device.
        """
        self._check_device(question.target)
        with self._lock:
            known = read_answer(question.answer)
            if known and known["state"] in ("queued", "working") and question.id in self._asked:
                return
            self._asked.add(question.id)
            write_answer(question.answer, "queued")
        self._put(question)

    def _check_device(self, target: Target) -> None:
        ids = [device["id"] for device in self.devices()]
        if target.device not in ids:
            raise UserError(f"There is no device {target.device!r} here: choose from {', '.join(ids)}.")

    def _put(self, task: RunSpec | Question) -> None:
        first, device = self.devices()[0]["id"], task.target.device
        with self._lock:
            if device not in self._queues:
                # The process that named the devices becomes the first device's worker.
                worker = self._first if device == first else None
                self._queues[device] = _DeviceQueue(self._spools, worker, self._log)
            self._queues[device].put(task)

    def stop(self, run_id: str) -> bool:
        """Ask a run to stop, waiting or running, or take a waiting question back; whether it is of this process."""
        return any(device.stop(run_id) for device in list(self._queues.values()))

    def workers(self) -> dict[str, int]:
        """The process id of each device's worker, as far as one runs."""
        found = {name: device.worker_pid for name, device in list(self._queues.items())}
        return {name: pid for name, pid in found.items() if pid is not None}

    def asked(self, question: str) -> bool:
        """Whether a question was put in this process, so that somebody answers it."""
        return question in self._asked

    def position(self, run_id: str) -> int | None:
        """How many tasks a queued run or question waits for; None when it does not wait."""
        positions = (device.position(run_id) for device in list(self._queues.values()))
        return next((position for position in positions if position is not None), None)

    def close(self) -> None:
        """Stop every run and end every worker."""
        for device in list(self._queues.values()):
            device.close()
        self._first.leave()


def _is_import(path: Path) -> bool:
    """Whether a spool holds results from elsewhere, which have no end to wait for."""
    with path.open("rb") as file:
        return json.loads(file.readline())["type"] == "import"
