"""Uploads are only for sessions that were let in: Streamlit itself takes them from whoever has a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

if TYPE_CHECKING:
    from collections.abc import Callable


class LetIn:
    """Whether a session may upload; stands for `Runtime.is_active_session`, which the upload's route asks first."""

    def __init__(self, is_active: Callable[[str], bool]) -> None:
        """Of the sessions that are active, by Streamlit's own word."""
        self._is_active = is_active
        self._sessions: frozenset[str] = frozenset()

    def __call__(self, session_id: str) -> bool:
        """Called by Streamlit before it reads anything of an upload."""
        return session_id in self._sessions and self._is_active(session_id)

    def add(self, session_id: str) -> None:
        """Let a session in, and forget those that have ended."""
        if session_id not in self._sessions:
            self._sessions = frozenset({*filter(self._is_active, self._sessions), session_id})

    def remove(self, session_id: str) -> None:
        """Let a session in no more."""
        self._sessions -= {session_id}


def refuse() -> None:
    """Take no upload from this session, and let go of what it had sent."""
    if found := _here():
        let_in, manager, session_id = found
        let_in.remove(session_id)
        manager.remove_session_files(session_id)


def allow() -> None:
    """Take uploads from this session."""
    if found := _here():
        let_in, _, session_id = found
        let_in.add(session_id)


def _here() -> tuple[LetIn, Any, str] | None:
    """Who may upload to this process, where uploads are kept, and this session; None outside of a server."""
    context = get_script_run_ctx(suppress_warning=True)
    if context is None or not runtime.exists():
        return None
    serving: Any = runtime.get_instance()
    if not isinstance(serving.is_active_session, LetIn):
        serving.is_active_session = LetIn(serving.is_active_session)
    return serving.is_active_session, serving.uploaded_file_mgr, context.session_id
