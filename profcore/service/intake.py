"""The thread that takes spools in as they grow, whoever writes them."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from profcore.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from profcore.storage.store import Store

_INTERVAL_S = 0.1
_AFTER_A_PROBLEM_S = 1.0
_QUIET_S = 60.0
"""A spool that has not grown for this long is looked at only now and then."""
_ALL_EVERY_S = 3.0
# What comes within one tick of the file system's clock leaves its folder's time as it was.
_JUST_NOW_S = 1.0
_LONGEST_WAIT_S = 60.0
_log = logging.getLogger(__name__)


class Intake:
    """Looks for spools that have grown, again and again; whatever one of them holds keeps no other out.

    Attributes:
        problem: Why nothing can be taken in at the moment, as a sentence; empty where all goes well.
    """

    def __init__(self, store: Store, now: Callable[[], float] = time.time) -> None:
        """Take in for a store, by a clock in seconds that files' times are of."""
        self._store, self._now = store, now
        self._seen: dict[Path, tuple[int, float]] = {}
        self._again: dict[Path, tuple[float, float]] = {}
        self._into = store.connection
        self._all_at = 0.0
        self._listed: list[Path] = []
        self._listed_at = -1.0
        self._shipped = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.problem = ""

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Look once more, and no more from then on."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        self.look(everything=True)

    def _serve(self) -> None:
        while not self._closing.wait(_AFTER_A_PROBLEM_S if self.problem else _INTERVAL_S):
            self.look()

    def look(self, everything: bool = False) -> None:
        """Take in what has grown since the last look; `everything` also looks at what has long been quiet."""
        try:
            self._store.check_there()
            if self._into is not self._store.connection:
                # A new database has what lay in the spools as it was made; what has grown since, the old one got.
                self._into, self._seen, everything = self._store.connection, {}, True
            if not self._shipped:
                self._store.take_in_shipped()
                self._shipped = True
            self._take_in(everything or self._now() >= self._all_at)
        except StoreError as error:
            self._say(str(error))
        except OSError as error:
            self._say(f"{error.filename or self._store.spools} cannot be looked at: {error.strerror}.")
        except Exception as error:  # a thread that died of one thing would leave every page standing still
            self._say(f"Spools cannot be taken in at the moment ({type(error).__name__}).", error)
        else:
            self._say("")

    def _take_in(self, everything: bool) -> None:
        if everything:
            self._all_at = self._now() + _ALL_EVERY_S
        # Another thread's look may put another in its place meanwhile.
        seen = self._seen
        paths = self._list(everything)
        for path in paths:
            known = seen.get(path)
            if known and not everything and self._now() - known[1] > _QUIET_S:
                continue
            try:
                found = path.stat()
            except OSError:
                continue
            # What could not be read may have become readable without having grown: permissions, a full disk.
            again = everything and self._is_due(path)
            if again or known != (found.st_size, found.st_mtime):
                self._store.try_take_in(path)
                seen[path] = (found.st_size, found.st_mtime)
                self._put_off(path, again)
        self._store.compare_cards(now_and_then=True)
        if everything:
            self._store.forget_unread({path.name for path in paths})

    def _list(self, everything: bool) -> list[Path]:
        """The spools; listed again where their folder says that one has come or gone, or said so a moment ago."""
        folder = self._store.spools
        changed_at = folder.stat().st_mtime if folder.exists() else 0.0
        if everything or changed_at != self._listed_at or self._now() - changed_at < _JUST_NOW_S:
            self._listed, self._listed_at = list(folder.glob("*.jsonl")), changed_at
        return self._listed

    def _is_due(self, path: Path) -> bool:
        """Whether what could not be read is to be looked at again."""
        return path.name in self._store.unread and self._now() >= self._again.get(path, (0.0, 0.0))[0]

    def _put_off(self, path: Path, again: bool) -> None:
        """Look again at what cannot be read, after twice as long each time: to look may take reading all of it."""
        if path.name not in self._store.unread:
            self._again.pop(path, None)
            return
        wait = min(2 * self._again[path][1], _LONGEST_WAIT_S) if again and path in self._again else _ALL_EVERY_S
        self._again[path] = (self._now() + wait, wait)

    def _say(self, problem: str, error: Exception | None = None) -> None:
        """Remember a problem, and write it to the log once, not at every look."""
        if problem and problem != self.problem:
            _log.warning("%s", problem, exc_info=error)
        self.problem = problem
