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
        going: Whether others of them are drawn in the background, for whoever asked.
    """

    done: int
    failed: dict[str, str]
    going: bool


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
        # Of what is coming: what was asked for in the background, and what somebody waits for.
        self._background: set[str] = set()
        self._waited: set[str] = set()
        self._at_work = ""
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
        for run_id in run_ids:
            if self._known(run_id) is None:
                self._ask(run_id, _WHENEVER)
        return self.progress(run_ids)

    def progress(self, run_ids: Sequence[str]) -> Progress:
        """How far the figures of runs are, whoever asked for them; none are asked for."""
        with self._lock:
            # Read before what is done: the last that comes in between is followed once more rather than missed.
            going = not self._background.isdisjoint(run_ids)
        found = ((run_id, self._known(run_id)) for run_id in run_ids)
        known = {run_id: kept for run_id, kept in found if kept is not None}
        failed = {run_id: kept.reason for run_id, kept in known.items() if kept.path is None}
        return Progress(len(known), failed, going)

    def stop(self) -> None:
        """Draw nothing more in the background; what was drawn is kept, and who waits for a run's figures gets them."""
        with self._lock:
            dropped = self._background - self._waited
            self._background.clear()
            for run_id in dropped:
                self._coming.pop(run_id)
            # While nothing else can be begun: the process may be drawing what somebody waits for a moment later.
            if self._at_work in dropped and self._process:
                self._process.end()

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
            self._background.clear()
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
            (self._waited if when == _URGENT else self._background).add(run_id)
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
                self._at_work = run_id
            # Asked for twice and made already, or wanted no more.
            if coming is not None:
                self._make(run_id, coming)
            with self._lock:
                self._at_work = ""

    def _make(self, run_id: str, coming: Future[dict[str, bytes]]) -> None:
        state = self._results.state(run_id)
        try:
            files = self._draw(run_id)
        except BaseException as error:
            if self._is_wanted(run_id, coming):
                self._fail(run_id, state, coming, error)
        else:
            self._keep(run_id, _Kept(state, self._write(run_id, files), ""), coming)
            coming.set_result(files)

    def _is_wanted(self, run_id: str, coming: Future[dict[str, bytes]]) -> bool:
        """Whether nobody has stopped what was asked for; the process that drew it is ended then."""
        with self._lock:
            return self._coming.get(run_id) is coming

    def _fail(self, run_id: str, state: Hashable, coming: Future[dict[str, bytes]], error: BaseException) -> None:
        if isinstance(error, UserError | OSError):
            self._keep(run_id, _Kept(state, None, str(error)), coming)
            coming.set_exception(UserError(str(error)))
        else:
            _log.error("the figures of %s", run_id, exc_info=error)
            reason = f"Its figures cannot be drawn ({type(error).__name__})."
            self._keep(run_id, _Kept(state, None, reason), coming)
            coming.set_exception(error)

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

    def _keep(self, run_id: str, kept: _Kept, coming: Future[dict[str, bytes]]) -> None:
        with self._lock:
            # Of a run under way nothing is kept: it changes with every sample.
            if kept.state is not None:
                self._kept[run_id] = kept
            # Stopped and asked for again, it is another that comes.
            if self._coming.get(run_id) is coming:
                self._coming.pop(run_id)
                self._background.discard(run_id)
                self._waited.discard(run_id)

    def _let_go(self) -> None:
        if self._process:
            self._process.end()
            self._process = None
