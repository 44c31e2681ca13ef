"""Starting, watching and stopping workers: one queue and one worker process per device.

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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.errors import UserError
from profcore.spec import RunSpec, State
from profcore.spool import SpoolWriter, end_abandoned, spool_path

if TYPE_CHECKING:
    from collections.abc import Iterator

_REPOSITORY = Path(__file__).parents[1]
_LEAVE_S = 5.0


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
                cwd=_REPOSITORY,
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
    """The runs of one device, one after another, on one worker."""

    def __init__(self, spools: Path, worker: _Worker | None, log: Path) -> None:
        self._spools, self._worker, self._log = spools, worker, log
        self._waiting: deque[RunSpec] = deque()
        self._current: RunSpec | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def put(self, spec: RunSpec) -> None:
        with self._changed:
            self._waiting.append(spec)
            self._changed.notify_all()

    def position(self, run_id: str) -> int | None:
        """How many runs are before this one; None when it does not wait here."""
        with self._changed:
            ids = [spec.id for spec in self._waiting]
            return ids.index(run_id) + (self._current is not None) if run_id in ids else None

    def stop(self, run_id: str) -> bool:
        with self._changed:
            for spec in self._waiting:
                if spec.id == run_id:
                    self._waiting.remove(spec)
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
            waiting = [spec.id for spec in self._waiting]
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
                worker, spec = self._worker, self._current
            path = spool_path(self._spools, spec.id)
            worker.tell(do="run", spool=str(path))
            ended = any(event["event"] == "ended" and event["run"] == spec.id for event in worker.events())
            if not ended and path.exists():
                code = worker.process.wait()
                how = f"signal {-code}" if code < 0 else f"exit status {code}"
                end_abandoned(path, f"The worker process ended in the middle of the run ({how}); see {self._log.name}.")
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
        ids = [device["id"] for device in self.devices()]
        if spec.target.device not in ids:
            raise UserError(f"There is no device {spec.target.device!r} here: choose from {', '.join(ids)}.")
        with SpoolWriter(spool_path(self._spools, spec.id)) as writer:
            writer.run(spec)
            writer.state(State.QUEUED)
        with self._lock:
            if spec.target.device not in self._queues:
                # The process that named the devices becomes the first device's worker.
                worker = self._first if spec.target.device == ids[0] else None
                self._queues[spec.target.device] = _DeviceQueue(self._spools, worker, self._log)
            self._queues[spec.target.device].put(spec)

    def stop(self, run_id: str) -> bool:
        """Ask a run to stop, waiting or running; returns whether it is one of this process."""
        return any(device.stop(run_id) for device in list(self._queues.values()))

    def position(self, run_id: str) -> int | None:
        """How many runs a queued run waits for; None when it does not wait."""
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
