"""What all sessions of the dashboard share."""

from __future__ import annotations

import atexit

import streamlit as st

from profcore.errors import StoreError
from profcore.paths import default_database
from profcore.service.service import Service


@st.cache_resource(show_spinner="Opening the database and starting the worker…")
def _service(database: str) -> Service:
    opened = Service(default_database())
    atexit.register(opened.close)
    return opened


def service() -> Service:
    """The process's one service; a page that cannot have it says why and ends."""
    try:
        return _service(str(default_database()))
    except StoreError as error:
        st.error(f"{error} Set PROFCORE_DB to use another file, or end the other process and reload.")
        st.stop()
