"""Figures of runs, drawn by a process of their own, and kept for each run as long as nothing of it changes."""

from __future__ import annotations

import itertools
import logging
import pickle
import queue
import tempfile
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from profcore.errors import UserError
from profcore.export.figure_child import FigureProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from profcore.service.results import Results

_LAST, _URGENT, _WHENEVER = 0, 1, 2
# As long as a process without work is kept, which it takes a second to start.
_IDLE_S = 30.0
_CLOSED = "The dashboard ends: no figures are drawn any more."
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far the figures of some runs are.

    Attributes:
        done: Of how many runs there is nothing left to do.
        failed: The runs among them whose figures cannot be drawn, each with the reason.
    """

    done: int
    failed: dict[str, str]


class _Kept(NamedTuple):
    """What came of a run's figures: a file of them, or why there are none."""

    state: Hashable
    path: Path | None
    reason: str


class Figures:
    """Draws and keeps figures; its methods may be called from any thread."""

    def __init__(self, results: Results, start: Callable[[], FigureProcess] = FigureProcess) -> None:
        """Begin with none.

        Args:
            results: The runs.
            start: Starts a process that draws.
        """
        self._results, self._start = results, start
        self._asked: queue.PriorityQueue[tuple[int, int, str]] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._kept: dict[str, _Kept] = {}
        self._coming: dict[str, Future[dict[str, bytes]]] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process: FigureProcess | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._closed = False

    def of(self, run_id: str) -> dict[str, bytes]:
        """A run's figures by their paths (see `archive.figure_files`), waited for where they are not there yet.

        Raises:
            UserError: They cannot be drawn.
        """
        kept = self._known(run_id)
        if kept is None:
            return self._ask(run_id, _URGENT).result()
        if kept.path is None:
            raise UserError(kept.reason)
        return pickle.loads(kept.path.read_bytes())

    def ask(self, run_ids: Sequence[str]) -> Progress:
        """Have the figures of runs made in the background, and say how far they are.

        Raises:
            UserError: The dashboard ends.
        """
        known = {run_id: self._known(run_id) for run_id in run_ids}
        for run_id, kept in known.items():
            if kept is None:
                self._ask(run_id, _WHENEVER)
        done = [kept for kept in known.values() if kept is not None]
        failed = {run_id: kept.reason for run_id, kept in known.items() if kept is not None and kept.path is None}
        return Progress(len(done), failed)

    def are_there(self, run_ids: Sequence[str]) -> bool:
        """Whether nothing is left to do for any of these runs."""
        return all(self._known(run_id) is not None for run_id in run_ids)

    def close(self) -> None:
        """Draw nothing more, and let go of what is kept; who waits is told."""
        with self._lock:
            self._closed = True
            self._asked.put((_LAST, next(self._numbers), ""))
            thread, process = self._thread, self._process
        if process:
            process.end()
        if thread:
            thread.join()
        with self._lock:
            for coming in self._coming.values():
                coming.set_exception(UserError(_CLOSED))
            self._coming.clear()
            self._kept.clear()
            if self._directory:
                self._directory.cleanup()

    def _known(self, run_id: str) -> _Kept | None:
        """What came of a run's figures, as long as nothing of it has changed since."""
        with self._lock:
            kept = self._kept.get(run_id)
        return kept if kept and kept.state == self._results.state(run_id) else None

    def _ask(self, run_id: str, when: int) -> Future[dict[str, bytes]]:
        with self._lock:
            if self._closed:
                raise UserError(_CLOSED)
            known = self._coming.get(run_id)
            coming = known or self._coming.setdefault(run_id, Future())
            if known is None or when == _URGENT:
                self._asked.put((when, next(self._numbers), run_id))
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="figures", daemon=True)
                self._thread.start()
            return coming

    def _serve(self) -> None:
        while True:
            try:
                _, _, run_id = self._asked.get(timeout=_IDLE_S if self._process else None)
            except queue.Empty:
                self._let_go()
                continue
            if not run_id:
                self._let_go()
                return
            with self._lock:
                coming = self._coming.get(run_id)
            # Asked for twice, and made already.
            if coming is not None:
                self._make(run_id, coming)

    def _make(self, run_id: str, coming: Future[dict[str, bytes]]) -> None:
        state = self._results.state(run_id)
        try:
            files = self._draw(run_id)
        except (UserError, OSError) as error:
            self._keep(run_id, _Kept(state, None, str(error)))
            coming.set_exception(UserError(str(error)))
        except BaseException as error:
            _log.exception("the figures of %s", run_id)
            self._keep(run_id, _Kept(state, None, f"Its figures cannot be drawn ({type(error).__name__})."))
            coming.set_exception(error)
        else:
            self._keep(run_id, _Kept(state, self._write(run_id, files), ""))
            coming.set_result(files)

    def _draw(self, run_id: str) -> dict[str, bytes]:
        result = self._results.any(run_id)
        if result is None:
            return {}
        if self._process is None or not self._process.alive:
            self._process = self._start()
        return self._process.figure_files(result)

    def _write(self, run_id: str, files: dict[str, bytes]) -> Path:
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="profcore-figures-")
        path = Path(self._directory.name) / f"{run_id}.pickle"
        path.write_bytes(pickle.dumps(files))
        return path

    def _keep(self, run_id: str, kept: _Kept) -> None:
        with self._lock:
            # Of a run under way nothing is kept: it changes with every sample.
            if kept.state is not None:
                self._kept[run_id] = kept
            self._coming.pop(run_id, None)

    def _let_go(self) -> None:
        if self._process:
            self._process.end()
            self._process = None
