"""A process that draws runs' figures: drawing holds the interpreter for up to half a second, and no page is to wait.

`python -m profcore.export.figure_child` reads one pickled run after another and writes each one's files, or why there
are none. It ends when its input does.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from profcore.errors import UserError
from profcore.export.archive import figure_files
from profcore.paths import REPOSITORY

if TYPE_CHECKING:
    from profcore.export.archive import AnyResult

_LEAVE_S = 5.0
# Whoever looks at pages, and what is measured, comes first.
_NICE = 19


class FigureProcess:
    """The process as whoever started it has it."""

    def __init__(self) -> None:
        """Start it.

        Raises:
            OSError: It cannot be started.
        """
        command = [sys.executable, "-m", "profcore.export.figure_child"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY)

    def figure_files(self, result: AnyResult) -> dict[str, bytes]:
        """As `archive.figure_files`.

        Raises:
            UserError: They cannot be drawn.
        """
        assert self._process.stdin
        assert self._process.stdout
        try:
            pickle.dump(result, self._process.stdin)
            self._process.stdin.flush()
            told: dict[str, bytes] | str = pickle.load(self._process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            self.end()
            raise UserError("The process that draws figures ended in the middle of it.") from None
        if isinstance(told, str):
            raise UserError(f"The figures of run {result.run['id']} cannot be drawn ({told}).")
        return told

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def end(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                if pipe:
                    pipe.close()


def main(given: BinaryIO, told: BinaryIO) -> None:
    """Draw the figures of one run after another."""
    os.nice(_NICE)
    while True:
        try:
            result = pickle.load(given)
        except EOFError:
            return
        try:
            answer: dict[str, bytes] | str = figure_files(result)
        except Exception as error:  # it is for whoever asked
            answer = type(error).__name__
        pickle.dump(answer, told)
        told.flush()


if __name__ == "__main__":
    # Libraries print to standard output at will, so answers go out through a copy of it.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with suppress(BrokenPipeError):
        main(sys.stdin.buffer, out)
