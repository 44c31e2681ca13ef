"""The runs and questions of one device, one after another, on one worker process that is started when it is needed."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from profcore.errors import UserError
from profcore.spec.stages import State
from profcore.storage.space import no_space_left
from profcore.storage.spool import RunHold, SpoolWriter, has_ended, owner_is_gone
from profcore.worker.answers import write_answer
from profcore.worker.cores import CPU, keep_off
from profcore.worker.limits import START_S, STOP_S, end_after, no_sign_limit, say_after
from profcore.worker.link import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from profcore.spec.runs import Target

_LOOK_S = 0.5
_LEAVE_S = 10.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Question:
    """Something to ask a worker's tool (see `profcore.worker.tools`), and the file that its answer goes to."""

    id: str
    tool: str
    target: Target
    arguments: dict[str, Any]
    answer: Path

    def command(self) -> dict[str, Any]:
        """What the worker is told."""
        target = self.target.to_dict()
        arguments = {"tool": self.tool, "target": target, "arguments": self.arguments}
        return {"do": "tool", "id": self.id, "answer": str(self.answer), **arguments}

    def end(self, state: State, reason: str) -> None:
        """Say how it ended that no worker answered it."""
        del state
        write_answer(self.answer, "failed", reason)

    def let_go(self) -> None:
        """Nothing is held for a question."""


@dataclass(frozen=True)
class Run:
    """A run that waits or is measured, held so that nobody else ends it.

    Attributes:
        id: Its id.
        hold: On its spool.
        device: Where it is measured.
    """

    id: str
    hold: RunHold
    device: str

    def command(self) -> dict[str, Any]:
        """What the worker is told."""
        return {"do": "run", "id": self.id, "spool": str(self.hold.path), "device": self.device}

    def end(self, state: State, reason: str) -> None:
        """Write how it ended, where its spool does not say so yet; whoever writes it must be gone."""
        if self.hold.path.exists() and not has_ended(self.hold.path):
            with SpoolWriter(self.hold.path) as writer:
                writer.state(state, reason)

    def fail_setting(self, setting: int, reason: str) -> None:
        """Write that a setting gives no further sample."""
        with SpoolWriter(self.hold.path) as writer:
            writer.setting_failed(setting, reason)

    def let_go(self) -> None:
        """Whatever becomes of it, this process has nothing to do with it any more."""
        self.hold.close()


Task = Run | Question


class DeviceQueue:
    """One device's tasks, and the thread that sees each to its end."""

    def __init__(
        self, start: Callable[[], WorkerProcess], worker: WorkerProcess | None = None, cores_of: str = CPU
    ) -> None:
        """Begin to serve.

        Args:
            start: Starts a worker.
            worker: One that runs already.
            cores_of: Whose cores this process keeps off while a task is done (see `cores.keep_off`).
        """
        self._cores_of = cores_of
        self._start, self._worker = start, worker
        self._waiting: deque[Task] = deque()
        self._current: Task | None = None
        self._stop_by: float | None = None
        self._give_up = False
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def put(self, task: Task) -> None:
        """Have a task done after those before it."""
        with self._changed:
            self._waiting.append(task)
            self._changed.notify_all()

    def position(self, task_id: str) -> int | None:
        """How many tasks are before this one; None when it does not wait here."""
        with self._changed:
            ids = [task.id for task in self._waiting]
            return ids.index(task_id) + (self._current is not None) if task_id in ids else None

    @property
    def worker_pid(self) -> int | None:
        """The worker's process id; None where none runs."""
        worker = self._worker
        return worker.process.pid if worker and worker.alive else None

    def no_sign_s(self, task_id: str) -> float | None:
        """Seconds since the worker gave a sign of life, where that is longer than it should be for this task."""
        with self._changed:
            worker = self._worker
            if worker is None or self._current is None or self._current.id != task_id:
                return None
        quiet = worker.beat.quiet_s
        return quiet if quiet > say_after(worker.beat, no_sign_limit()) else None

    def give_up(self, task_id: str) -> bool:
        """End the worker that is at this task, which goes on without what hung; whether it was at it."""
        with self._changed:
            here = self._current is not None and self._current.id == task_id
            self._give_up = self._give_up or here
            return here

    def wait_until_let_go(self, task_id: str, wait_s: float) -> None:
        """Wait for what is left to do of a task whose end can be seen already."""
        with self._changed:
            self._changed.wait_for(lambda: self._current is None or self._current.id != task_id, wait_s)

    def stop(self, task_id: str, reason: str = "Stopped before it began.") -> bool:
        """Have a task stop, waiting or under way; whether it is one of these."""
        with self._changed:
            waiting = next((task for task in self._waiting if task.id == task_id), None)
            if waiting is not None:
                self._waiting.remove(waiting)
            elif self._current and self._current.id == task_id:
                self._stop_by = self._stop_by or time.monotonic() + STOP_S
                if self._worker:
                    self._worker.tell(do="stop", run=task_id)
                return True
        if waiting is None:
            return False
        self._end(waiting, State.STOPPED, reason)
        return True

    def close(self) -> None:
        """Stop every task and end the worker."""
        with self._changed:
            self._closed = True
            waiting = [task.id for task in self._waiting]
            self._changed.notify_all()
            worker = self._worker
        for task_id in waiting:
            self.stop(task_id, owner_is_gone("dashboard"))
        if worker:
            worker.leave()
        self._thread.join(_LEAVE_S)

    def _serve(self) -> None:
        while (task := self._next()) is not None:
            try:
                with keep_off.of(self._cores_of):
                    self._do(task)
            except Exception as error:
                # Whatever it is, those that wait behind must not wait for ever.
                _log.exception("%s could not be done", task.id)
                self._end(task, State.FAILED, str(error) if isinstance(error, UserError) else f"It failed: {error}")
            finally:
                task.let_go()
                with self._changed:
                    self._current = None
                    self._changed.notify_all()

    def _next(self) -> Task | None:
        """The next task, once there is one; None when this is closed."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            self._current = self._waiting.popleft()
            self._stop_by, self._give_up = None, False
            return self._current

    def _do(self, task: Task) -> None:
        """See a task to its end, with another worker where one hangs at a setting, or once before any."""
        begun_anew = False
        while True:
            worker = self._worker
            if worker is None or not worker.alive:
                worker = self._worker = self._start()
            if not self._closed and not self._has_started(task, worker):
                return
            if self._closed:
                # Closing saw another worker, or none.
                worker.leave()
                self._end(task, State.STOPPED, owner_is_gone("dashboard"))
                return
            worker.beat.begin()
            with self._changed:
                worker.tell(**task.command())
                if self._stop_by is not None:
                    # Stopped before the worker knew of it.
                    worker.tell(do="stop", run=task.id)
            if not self._hangs(task, worker):
                return
            # Before any setting nothing that was asked for can be blamed: the worker may have hung before it was told.
            anew = worker.beat.setting is None and not begun_anew and self._stop_by is None
            begun_anew = begun_anew or anew
            if not self._go_on_without(task, worker, anew):
                return

    def _has_started(self, task: Task, worker: WorkerProcess) -> bool:
        """Wait until a new worker can be told of a task, which takes what it takes; else the task has its end."""
        end = time.monotonic() + START_S
        while not worker.ready and not self._closed:
            # While it starts it has nothing to give signs with.
            worker.beat.begin()
            try:
                gone = worker.event(_LOOK_S) is None
            except TimeoutError:
                gone = False
            if gone:
                self._end(task, State.FAILED, worker.ending())
                return False
            if self._stop_by is not None:
                self._end(task, State.STOPPED, "Stopped before it began.")
                return False
            if self._give_up or time.monotonic() > end:
                worker.end()
                self._end(task, State.FAILED, "The worker took too long to start and was ended.")
                return False
        return True

    def _hangs(self, task: Task, worker: WorkerProcess) -> bool:
        """Follow a task; returns whether the worker had to be ended at it, and otherwise has written its end."""
        while True:
            try:
                event = worker.event(_LOOK_S)
            except TimeoutError:
                event = {}
            if event is None:
                self._end(task, State.FAILED, worker.ending())
                return False
            if event.get("event") == "ended" and event.get("run") == task.id:
                if event.get("error"):
                    self._end(task, State.FAILED, str(event["error"]))
                elif isinstance(task, Run):
                    # Its spool says how it ended, unless there was no space even for that.
                    self._end(task, State.FAILED, no_space_left(task.hold.path.parent))
                return False
            if self._stop_by is not None and time.monotonic() > self._stop_by:
                worker.end()
                text = f"Stopped on request; the worker did not answer within {STOP_S:.0f} s and was ended."
                self._end(task, State.STOPPED, text)
                return False
            if self._give_up or worker.beat.quiet_s > end_after(worker.beat, no_sign_limit()):
                return True

    def _go_on_without(self, task: Task, worker: WorkerProcess, anew: bool) -> bool:
        """End a worker that hangs, and mark what it hung at; returns whether the task goes on, perhaps anew."""
        quiet, setting = worker.beat.quiet_s, worker.beat.setting
        worker.end()
        self._give_up = False
        reason = f"The worker gave no sign for {quiet:.0f} s and was ended."
        _log.warning("%s: %s", task.id, reason)
        ended = isinstance(task, Run) and has_ended(task.hold.path)
        if anew and not ended:
            return True
        if isinstance(task, Run) and setting is not None and not ended:
            task.fail_setting(setting, reason)
            return True
        self._end(task, State.FAILED, reason)
        return False

    def _end(self, task: Task, state: State, reason: str) -> None:
        """Say how a task ended that no worker is at."""
        if self._closed and state is State.FAILED:
            state, reason = State.STOPPED, owner_is_gone("dashboard")
        try:
            task.end(state, reason)
        except (UserError, OSError) as error:
            # On a full disk, say: whoever looks for runs that nobody measures ends it later.
            _log.warning("%s has ended (%s), which cannot be written: %s", task.id, reason, error)
        finally:
            task.let_go()
