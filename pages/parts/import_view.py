"""Importing a file that a person gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.parts.state import service
from pages.parts.text import plain
from profcore.errors import UserError

if TYPE_CHECKING:
    from profcore.formats.imports import Import

_KNOWN = "imported"


def show() -> None:
    """Draw the upload, and say what became of the files given."""
    with st.expander("Import a spool or result files", icon=":material/upload:"):
        files = st.file_uploader(
            "Result JSON (profiling, Motivation or joint, published or ours), a spool, or a zip of them",
            accept_multiple_files=True,
            key="result-file",
        )
        # Each once, not on every run of the page: what was deleted meanwhile must not come back.
        known: dict[str, tuple[bool, str]] = st.session_state.setdefault(_KNOWN, {})
        for uploaded in files:
            if uploaded.file_id not in known:
                known[uploaded.file_id] = _import(uploaded.getvalue(), uploaded.name)
            taken, text = known[uploaded.file_id]
            (st.success if taken else st.error)(plain(text))


def _import(data: bytes, name: str) -> tuple[bool, str]:
    """Whether a file was taken in, and what to say of it."""
    try:
        imported = service().import_file(data, name)
    except UserError as error:
        return False, str(error)
    return True, " ".join(_said(each) for each in imported)


def _said(imported: Import) -> str:
    """What became of one run."""
    was = "is in" if imported.new else "was here before"
    return f"{imported.name}: run {imported.run_id} {was}. {imported.note}".strip()
