"""Files behind download buttons outlive the drawing that offered them.

A button names its file by an id of the drawing it is part of. Streamlit forgets that id as soon as the page, or a part
of it, has been drawn once more, while a browser shows the old drawing until it has received and painted the new one.
A click in between, as just when a run ends, asks for a file that nobody knows any more, and nothing is downloaded. The
same happens to a file that was made for a click, where others' pages are drawn before the browser has fetched it. So
what has been replaced is kept for a while.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from streamlit import runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamlit.runtime.media_file_manager import MediaFileManager

KEPT_S = 60.0
"""How long a browser may still show what has been replaced: far longer than any takes to paint."""

_NEEDED = ("_lock", "_file_metadata", "_files_by_session_and_coord", "_deferred_callables")
_NEEDED_METHODS = ("_delete_file", "_drop_deferred_id")


def keep() -> None:
    """See that this process keeps replaced files; once is enough."""
    if not runtime.exists():
        return
    manager: Any = runtime.get_instance().media_file_mgr
    # Another version of Streamlit may keep its books otherwise; then it is left to itself.
    known = all(hasattr(manager, name) for name in (*_NEEDED, *_NEEDED_METHODS))
    if known and not isinstance(manager.remove_orphaned_files, Removal):
        manager.remove_orphaned_files = Removal(manager)


class Removal:
    """Removes the files that no page has shown for a while; stands for `MediaFileManager.remove_orphaned_files`."""

    def __init__(self, manager: MediaFileManager, now: Callable[[], float] = time.monotonic) -> None:
        """Look after a manager's files, by a clock in seconds."""
        self._manager, self._now = manager, now
        self._unused_since: dict[str, float] = {}

    def __call__(self) -> None:
        """Called by Streamlit whenever a page, or a part of one, has been drawn."""
        files, now = self._manager, self._now()
        with files._lock:
            shown = {id for ids in files._files_by_session_and_coord.values() for id in ids.values()}
            unused = {*files._file_metadata, *files._deferred_callables} - shown
            self._unused_since = {id: self._unused_since.get(id, now) for id in unused}
            for id in [id for id, since in self._unused_since.items() if now - since >= KEPT_S]:
                del self._unused_since[id]
                if id in files._file_metadata:
                    files._delete_file(id)
                files._drop_deferred_id(id)
