"""A thread that looks for runs which nobody measures any more, whoever had started them, so that none runs for ever."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from profcore.storage.store import Store

_INTERVAL_S = 1.0
_log = logging.getLogger(__name__)


class Keeper:
    """Ends abandoned runs, at once and then again and again until closed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._closing = threading.Event()
        self._said = ""
        self._look()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._closing.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._closing.wait(_INTERVAL_S):
            self._look()

    def _look(self) -> None:
        try:
            self._store.end_abandoned()
        except Exception as error:  # a thread that died of one run would leave all others running for ever
            if str(error) != self._said:
                _log.warning("Whether runs are abandoned cannot be found out at the moment: %s", error)
            self._said = str(error)
