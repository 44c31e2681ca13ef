"""What all sessions of the dashboard share."""

from __future__ import annotations

import atexit
import sys
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import streamlit as st

from pages.parts.pressed import acting, pressed
from pages.parts.text import plain
from profcore.errors import StoreDamagedError, StoreError, StoreHeldError, StoreNewerError, UserError
from profcore.paths import Roots, default_database
from profcore.service.service import Service, rebuild_closed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


# What sends pages waits this long for each thread that draws one: Python's 5 ms, ten times over, is what a reader sees.
_TURN_S = 0.0005


@st.cache_resource(show_spinner="Opening the database and starting the worker…")
def _service(database: str) -> Service:
    sys.setswitchinterval(_TURN_S)
    opened = Service(default_database(), Roots.configured(*_named()))
    atexit.register(opened.close)
    return opened


def _named() -> list[str]:
    """The folders named on the command line: `streamlit run app.py -- FOLDER …`."""
    return sys.argv[1:] if Path(sys.argv[0]).name == "app.py" else []


def service() -> Service:
    """The process's one service; a page that cannot have it says why and ends."""
    try:
        opened = _service(str(default_database()))
    except StoreError as error:
        _say(error, lambda: rebuild_closed(default_database()), "or end the other process and reload")
    except UserError as error:
        st.error(plain(error))
        st.stop()
    try:
        opened.store.check_there()
    except StoreError as error:
        _say(error, opened.rebuild)
    return opened


@contextmanager
def database_said() -> Iterator[None]:
    """Within it, a database that cannot be used ends the page, or a part that is drawn anew, with its sentence."""
    try:
        yield
    except StoreError as error:
        _say(error, lambda: service().rebuild())


def fragment(run_every: float | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """As `st.fragment`, in which a database that cannot be used is said as it is on a whole page."""

    def decorate(draw: Callable[..., None]) -> Callable[..., None]:
        @wraps(draw)
        def drawn(*given: Any, **named: Any) -> None:
            with database_said():
                draw(*given, **named)

        return st.fragment(run_every=run_every)(drawn)

    return decorate


def _say(error: StoreError, rebuild: Callable[[], object], other: str = "") -> NoReturn:
    """Say what is wrong with the database, offer the way out where there is one, and end the page."""
    if not isinstance(error, StoreDamagedError | StoreNewerError):
        held = f", {other}" if other and isinstance(error, StoreHeldError) else ""
        st.error(f"{plain(error)} Set PROFCORE_DB to use another file{plain(held)}." if other else plain(error))
        st.stop()
    st.error(plain(error))
    st.markdown(
        "What was measured is in the spools. A new database is made from them, and this file is kept beside it."
    )
    if pressed("Make a new database from the spools", "rebuild", icon=":material/build:", type="primary"):
        try:
            with acting("rebuild", "Reading the spools…"):
                rebuild()
        except (UserError, OSError) as problem:
            st.error(plain(problem))
            st.stop()
        st.rerun()
    st.stop()
