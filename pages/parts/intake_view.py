"""Taking in a file that a person gives."""

from __future__ import annotations

import streamlit as st

from pages.parts.state import service
from profcore.errors import UserError


def show() -> None:
    """Draw the upload, and say what became of the files given."""
    with st.expander("Take in a spool or result files", icon=":material/upload:"):
        files = st.file_uploader(
            "Result JSON (profiling or Motivation, published or ours) or spool",
            accept_multiple_files=True,
            key="result-file",
        )
        for uploaded in files:
            try:
                received = service().receive(uploaded.getvalue(), uploaded.name)
            except UserError as error:
                st.error(str(error))
                continue
            was = "is in" if received.new else "was here before"
            st.success(f"{uploaded.name}: run {received.run_id} {was}. {received.note}")
