"""All devices' queues of runs and questions, and the workers that do them.

A run is written into its spool when it is submitted, so that it is seen from everywhere at once and outlives
whoever asked for it. What became of it is read from the spool, never kept here.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from profcore.errors import UserError
from profcore.spec.stages import State
from profcore.storage.space import no_space_said
from profcore.storage.spool import RunHold, SpoolWriter, spool_path
from profcore.worker.answers import read_answer, write_answer
from profcore.worker.cores import CPU
from profcore.worker.device_queue import DeviceQueue, Question, Run
from profcore.worker.limits import START_S, no_sign_limit
from profcore.worker.link import WORKER, WorkerProcess, first_event
from profcore.worker.seen import Seen, remember, remembered

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from profcore.spec.runs import RunSpec, Target
    from profcore.worker.device_queue import Task

__all__ = ["Jobs", "Question"]

_LET_GO_S = 10.0


class Jobs:
    """All devices' queues. One per spool directory and process."""

    def __init__(self, spools: Path, command: Sequence[str] = WORKER, by: str = "dashboard") -> None:
        """Start the first worker, which also says what devices there are.

        Args:
            spools: Where runs' spools lie.
            command: What is started as a worker.
            by: Who sees runs to their end: 'dashboard' or 'command'.

        Raises:
            UserError: The limit of a worker without a sign is set to what is none.
        """
        no_sign_limit()
        self._spools, self._command, self._by = spools, tuple(command), by
        self._log = spools / "worker.log"
        self._queues: dict[str, DeviceQueue] = {}
        self._lock = threading.Lock()
        self._asked: set[str] = set()
        self._first: WorkerProcess | None = None
        self._closed = False
        self._greeting = self._greet()

    @property
    def spools(self) -> Path:
        """Where runs' spools lie."""
        return self._spools

    def devices(self, wait_s: float = START_S) -> list[dict[str, Any]]:
        """This machine's devices, GPUs first: `id`, `name` and `machine` of each.

        A worker that did not start is started again for whoever asks next; those who ask meanwhile wait together.

        Raises:
            UserError: The worker did not come up.
        """
        with self._lock:
            if self._greeting.done() and self._greeting.exception() and not self._closed:
                self._greeting = self._greet()
            greeting = self._greeting
        try:
            return greeting.result(wait_s)
        except TimeoutError:
            raise UserError(f"The worker process says nothing yet; {self._log} says what it does.") from None

    def seen(self) -> Seen:
        """As `devices`, without waiting: as long as the worker has not named them, those that were there last.

        Raises:
            UserError: The worker did not come up; another is started for whoever asks next.
        """
        with self._lock:
            greeting = self._greeting
            if greeting.done() and greeting.exception() and not self._closed:
                self._greeting = self._greet()
        return Seen(greeting.result(), True) if greeting.done() else Seen(remembered(self._spools), False)

    def _greet(self) -> Future[list[dict[str, Any]]]:
        """Start a worker and have it name the devices; at once, and waited for by nobody."""
        greeting: Future[list[dict[str, Any]]] = Future()

        def meet() -> None:
            try:
                worker = self._first = WorkerProcess(self._command, self._log)
                if self._closed:
                    worker.leave()
                event = first_event(worker, START_S)
                if event is None:
                    raise UserError(worker.ending())
                remember(self._spools, event["devices"])
                greeting.set_result(event["devices"])
            except TimeoutError:
                worker.end()
                greeting.set_exception(UserError(f"The worker process says nothing; {self._log} says what it did."))
            except BaseException as error:  # it is for whoever asks for the devices
                greeting.set_exception(error)

        threading.Thread(target=meet, daemon=True).start()
        return greeting

    def submit(self, spec: RunSpec, lane: int = 0) -> None:
        """Queue a run on its device; it is in the spool directory when this returns.

        Args:
            spec: The run.
            lane: Which of several queues of one device, each with a worker of its own.

        Raises:
            UserError: There is no such device, or the spool cannot be written.
        """
        self.check_device(spec.target)
        try:
            with no_space_said(self._spools):
                hold = RunHold.of_new(spool_path(self._spools, spec.id), spec, self._by)
        except OSError as error:
            raise UserError(f"The run cannot be written to {self._spools}: {error.strerror}.") from None
        self._put(Run(spec.id, hold, spec.target.device), spec.target.device, lane)

    def resume(self, run_id: str, device: str) -> None:
        """Queue what is left of a run that ended before it was done.

        Raises:
            UserError: Another process measures it, or its spool cannot be written.
        """
        path = spool_path(self._spools, run_id)
        for queue in list(self._queues.values()):
            # Its end is in the spool a moment before it is let go of.
            queue.wait_until_let_go(run_id, _LET_GO_S)
        try:
            hold = RunHold(path)
            try:
                with SpoolWriter(path) as writer:
                    writer.owner(self._by)
                    writer.state(State.QUEUED)
            except BaseException:
                hold.close()
                raise
        except OSError as error:
            raise UserError(f"The run cannot be written to {path}: {error.strerror}.") from None
        self._put(Run(run_id, hold, device), device)

    def ask(self, question: Question) -> None:
        """Queue a question on its device, unless the same is under way; its answer says what becomes of it.

        Raises:
            UserError: There is no such device.
        """
        self.check_device(question.target)
        with self._lock:
            known = read_answer(question.answer)
            if known and known["state"] in ("queued", "working") and question.id in self._asked:
                return
            self._asked.add(question.id)
            write_answer(question.answer, "queued")
        self._put(question, question.target.device)

    def check_device(self, target: Target) -> None:
        """Whether a target's device is there.

        Raises:
            UserError: It is not.
        """
        ids = [device["id"] for device in self.devices()]
        if target.device not in ids:
            raise UserError(f"There is no device {target.device!r} here: choose from {', '.join(ids)}.")

    def _put(self, task: Task, device: str, lane: int = 0) -> None:
        devices = self.devices()
        first = devices[0]["id"]
        own = next((each for each in devices if each["id"] == device), {})
        card = (own.get("machine") or {}).get("card")
        name = f"{device}, {lane + 1}" if lane else device
        with self._lock:
            if name not in self._queues:
                # The process that named the devices becomes the first device's worker.
                worker = self._first if name == first else None
                self._queues[name] = DeviceQueue(
                    lambda: WorkerProcess(self._command, self._log), worker, cores_of=card or CPU
                )
            self._queues[name].put(task)

    def stop(self, run_id: str) -> bool:
        """Ask a run to stop, waiting or running, or take a waiting question back; whether it is of this process."""
        return any(device.stop(run_id) for device in list(self._queues.values()))

    def no_sign_s(self, run_id: str) -> float | None:
        """Seconds since the worker that is at this gave a sign of life, where that is longer than it should be."""
        found = (device.no_sign_s(run_id) for device in list(self._queues.values()))
        return next((quiet for quiet in found if quiet is not None), None)

    def give_up(self, run_id: str) -> bool:
        """End the worker that is at a run, which goes on without the setting that it hangs at; whether it was at it."""
        return any(device.give_up(run_id) for device in list(self._queues.values()))

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
        with self._lock:
            self._closed = True
        for device in list(self._queues.values()):
            device.close()
        if self._first:
            self._first.leave()
