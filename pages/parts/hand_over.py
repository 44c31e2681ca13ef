"""What of a run, or of runs compared, is handed to others: a report, and tables to copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.parts.state import service
from pages.parts.text import say_error
from profcore.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence


def show(run_ids: Sequence[str], key: str) -> None:
    """Draw the report's button, and the tables, which are made when they are looked at.

    Args:
        run_ids: Runs with samples; several are compared with the first.
        key: Tells these apart on their page.
    """
    asked, ids = service().downloads, tuple(run_ids)
    with st.container(horizontal=True):
        st.download_button(
            "Report",
            lambda: asked.report(ids),
            f"{ids[0]}.html" if len(ids) == 1 else "comparison.html",
            "text/html",
            key=f"report-{key}",
            icon=":material/description:",
            on_click="ignore",
            help="One file with figures, tables, conditions and method, which prints as pages of A4.",
        )
        popover = st.popover(
            "Tables to copy", icon=":material/table:", key=f"tables-{key}", on_change="rerun", width="content"
        )
    if popover.open:
        with popover:
            _tables(ids)


def _tables(ids: tuple[str, ...]) -> None:
    try:
        texts = service().shared.get(("tables", ids), lambda: service().downloads.tables(ids))
    except UserError as error:
        say_error(error)
        return
    for tab, text in zip(st.tabs(["Markdown", "LaTeX"]), texts, strict=True):
        # Without a language, whose colours are fainter than text may be.
        tab.code(text, None, height=320)
