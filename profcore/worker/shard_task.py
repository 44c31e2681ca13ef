"""What a Slurm job runs: a shard in a process of its own, stopped in time where Slurm is about to end it.

Slurm says so by a signal before the time limit and when it needs the card for another job. The shard is stopped then,
which keeps what it measured, and the job is put into the queue again, where it goes on with what is left.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

_POLL_S = 0.2
_STOPS_WITHIN_S = 60.0


@dataclass
class ShardTask:
    """A shard's command, as submitit calls it on the machine that measures.

    Attributes:
        command: What measures it.
        folder: Where the command is run.
    """

    command: list[str]
    folder: str
    process: Any = field(default=None, repr=False, compare=False)

    def __call__(self) -> int:
        """Measure the shard.

        Raises:
            RuntimeError: Its process ended with another status than 0.
        """
        self.process = subprocess.Popen(
            self.command, cwd=self.folder, stdin=subprocess.DEVNULL, preexec_fn=_ignore_the_warning
        )
        # Looked at again and again, not waited for: the signal's handler waits for it too, in this thread.
        while (code := self.process.poll()) is None:
            time.sleep(_POLL_S)
        if code:
            raise RuntimeError(f"The shard's process ended with status {code}.")
        return 0

    def checkpoint(self) -> Any:
        """Stop the shard; returns what goes on with it, as submitit queues it."""
        from submitit.helpers import DelayedSubmission

        if self.process is not None:
            _stop(self.process.pid)
        return DelayedSubmission(ShardTask(self.command, self.folder))


def _ignore_the_warning() -> None:
    # Slurm sends it to every process of a job, and it would end one that does not know it.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def _stop(pid: int) -> None:
    """Have a child stop, and wait until it has."""
    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGINT)
        end = time.monotonic() + _STOPS_WITHIN_S
        while time.monotonic() < end and os.waitpid(pid, os.WNOHANG) == (0, 0):
            time.sleep(_POLL_S)
