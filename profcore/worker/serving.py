"""A worker's end of the line to whoever started it: commands in, events out, signs of life. Standard library only.

It reads one JSON command a line from standard input (`{"do": "run", "id": …, "spool": path}`, `{"do": "tool", "id": …,
"answer": path, …}`, `{"do": "stop", "run": id}`) and writes one JSON event a line to standard output. When its input
ends, whoever started it is gone: it stops and leaves.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import queue
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from profcore.storage.spool import owner_is_gone
from profcore.worker.beat import Beat
from profcore.worker.parent import die_with

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_log = logging.getLogger(__name__)


class Stop:
    """Whether a task is to stop; asking is a sign of life."""

    def __init__(self, line: Line, task: str) -> None:
        self._line, self._task = line, task

    def __call__(self) -> bool:
        """Whether whoever asked for the task took it back, or is gone."""
        self._line.beat.sign()
        return self._line.gone.is_set() or self._task in self._line.stopped

    def reason(self) -> str:
        """Why, once it is to stop."""
        return "Stopped on request." if self._task in self._line.stopped else owner_is_gone("dashboard")


class Line:
    """The line itself.

    Attributes:
        beat: Where signs of life are given.
        stopped: Tasks that are to stop.
        gone: Set when whoever started this process is gone.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        """Begin to live no longer than whoever started this process; done before anything that takes long.

        Args:
            arguments: Of the command line, as `worker.link` gives them.
        """
        parser = argparse.ArgumentParser(prog="profcore.worker")
        parser.add_argument("--parent", type=int)
        parser.add_argument("--beat", type=int)
        options = parser.parse_args(arguments)
        if options.parent is not None:
            die_with(options.parent)
        self.beat = Beat.make()[0] if options.beat is None else Beat(options.beat)
        self.stopped: set[str] = set()
        self.gone = threading.Event()
        self._asked: queue.Queue[dict[str, Any] | None] = queue.Queue()
        # Libraries print to standard output at will, so events go out through a copy of it.
        self._out = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def tell(self, event: str, **fields: Any) -> None:
        """Send an event."""
        with suppress(BrokenPipeError):
            self._out.write(json.dumps({"event": event, **fields}) + "\n")

    def serve(
        self, do: Callable[[dict[str, Any], Stop], dict[str, Any]], idle: Callable[[], None] = lambda: None
    ) -> None:
        """Do one task after another until the input ends.

        Args:
            do: Does a task and gives what is told of its end. What it raises is told, and ends no worker.
            idle: Called after a task where none waits.
        """
        threading.Thread(target=self._listen, daemon=True).start()
        while (command := self._asked.get()) is not None and not self.gone.is_set():
            task = command["id"]
            self.beat.begin()
            try:
                told = do(command, Stop(self, task))
            except Exception as error:
                _log.exception("task %s failed", task)
                told = {"error": f"{type(error).__name__}: {error}"}
            self.tell("ended", run=task, **told)
            if self._asked.empty():
                idle()

    def _listen(self) -> None:
        for command in _commands(sys.stdin.buffer):
            if command["do"] in ("run", "tool"):
                # The same may be asked again after it was stopped; a stop that follows is of this one.
                self.stopped.discard(command["id"])
                self._asked.put(command)
            elif command["do"] == "stop":
                self.stopped.add(command["run"])
        self.gone.set()
        self._asked.put(None)


def _commands(stream: Any) -> Iterator[dict[str, Any]]:
    for line in stream:
        with suppress(ValueError):
            yield json.loads(line)
