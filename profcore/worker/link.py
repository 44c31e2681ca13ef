"""A worker process as whoever started it has it: commands, events, and whether it still gives a sign."""

from __future__ import annotations

import errno
import json
import os
import queue
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from profcore.errors import UserError
from profcore.paths import REPOSITORY
from profcore.worker.beat import Beat
from profcore.worker.parent import start_process

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

WORKER = (sys.executable, "-m", "profcore.worker")
"""What is started."""

_LEAVE_S = 5.0


class WorkerProcess:
    """A worker process and the events it tells.

    Attributes:
        process: The process.
        beat: Its signs of life.
        ready: Whether it has said that it can be told what to do.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        """Start it.

        Args:
            command: What to start.
            log: Where its errors go.

        Raises:
            UserError: It cannot be started.
        """
        self._log = log
        self._events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.ready, self._why = False, ""
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            self.beat, number = Beat.make()
            try:
                self.process = start_process(lambda: self._start(command, number))
            finally:
                os.close(number)
        except OSError as error:
            raise UserError(f"The worker process cannot be started: {error.strerror or error}.") from None
        threading.Thread(target=self._read, daemon=True).start()

    def _start(self, command: Sequence[str], beat: int) -> subprocess.Popen[bytes]:
        arguments = ["--parent", str(os.getpid()), "--beat", str(beat)]
        with _opened_to_append(self._log) as errors:
            # A session of its own: Ctrl-C in the terminal must not hit it in the middle of a sample.
            return subprocess.Popen(
                [*command, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=REPOSITORY,
                start_new_session=True,
                pass_fds=(beat,),
            )

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def tell(self, **command: Any) -> None:
        """Send a command; a process that is gone is found out by `event`."""
        assert self.process.stdin
        with suppress(BrokenPipeError, ValueError):
            self.process.stdin.write(json.dumps(command).encode() + b"\n")
            self.process.stdin.flush()

    def event(self, wait_s: float | None = None) -> dict[str, Any] | None:
        """The next event; None where the process is gone.

        Raises:
            TimeoutError: There was none meanwhile.
        """
        try:
            event = self._events.get(timeout=wait_s)
        except queue.Empty:
            raise TimeoutError from None
        if event is None:
            # For whoever asks again.
            self._events.put(None)
        elif event.get("event") == "failed":
            self._why = str(event.get("reason"))
        elif event.get("event") == "ready":
            self.ready = True
        return event

    def ending(self) -> str:
        """What became of a process that tells nothing more, in a sentence."""
        try:
            code = self.process.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:
            self.end()
            code = self.process.returncode
        how = self._why or (f"signal {-code}" if code < 0 else f"exit status {code}")
        what = "ended in the middle of it" if self.ready else "did not start"
        return f"The worker process {what} ({how}); see {self._log.name}."

    def end(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.wait()

    def leave(self) -> None:
        """End the process: it stops by itself when its input ends."""
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:
            self.end()

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as events:
            for line in events:
                with suppress(ValueError):
                    self._events.put(json.loads(line))
        self._events.put(None)


def _opened_to_append(path: Path) -> BinaryIO:
    """A regular file to write on at its end; a pipe that nobody reads is never waited for.

    Raises:
        OSError: It cannot be opened, or is no regular file.
    """
    number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, f"{path.name} is no regular file", str(path))
    return os.fdopen(number, "ab")


def first_event(worker: WorkerProcess, wait_s: float) -> dict[str, Any] | None:
    """What a new worker says of itself; None where it is gone before.

    Raises:
        TimeoutError: It says nothing for that long.
    """
    end = time.monotonic() + wait_s
    while (event := worker.event(max(end - time.monotonic(), 0.0))) is not None:
        if event.get("event") == "ready":
            return event
    return None
