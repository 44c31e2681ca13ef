"""All runs as a zip: data alone at once, with figures once these were drawn, which no page waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.parts.state import fragment, service
from pages.parts.text import plain
from profcore.spec.text import counted

if TYPE_CHECKING:
    from profcore.service.downloads import Downloads

_ASKED = "figures asked"
_LOOK_S = 0.5
_MOST_NAMED = 3


def show() -> None:
    """Draw the downloads, which are made when they are pressed."""
    asked, runs = service().downloads, service().downloads.ended_runs()
    if not runs:
        st.caption("Once a run has ended, all that have are offered here as a zip.")
        return
    _download(asked, f"Data of all {counted(len(runs), 'run')}", figures=False)
    if asked.figures.are_there(runs):
        _with_figures(asked, runs)
    elif st.session_state.get(_ASKED):
        fragment(run_every=_LOOK_S)(_follow)()
    else:
        st.button(
            "Draw all figures…",
            key="draw-figures",
            icon=":material/folder_zip:",
            width="stretch",
            on_click=_ask,
            help="A second or two each, in the background; then they can be downloaded with the data.",
        )


def _ask() -> None:
    st.session_state[_ASKED] = True


def _follow() -> None:
    """Say how many runs have their figures; the whole page is drawn anew once all have."""
    runs = service().downloads.ended_runs()
    done = service().downloads.figures.ask(runs).done
    if done == len(runs):
        st.rerun()
    st.progress(done / len(runs), f"Figures of {done:,} of {counted(len(runs), 'run')}")


def _with_figures(asked: Downloads, runs: list[str]) -> None:
    st.session_state.pop(_ASKED, None)
    _download(asked, "Data and figures of all", figures=True)
    failed = asked.figures.ask(runs).failed
    for reason in list(failed.values())[:_MOST_NAMED]:
        st.caption(f":material/warning: {plain(reason)}")
    if len(failed) > _MOST_NAMED:
        st.caption(f":material/warning: {counted(len(failed), 'run')} in all have no figures.")


def _download(asked: Downloads, label: str, figures: bool) -> None:
    st.download_button(
        plain(label),
        lambda: asked.all_zip(figures),
        "profcore-runs.zip" if figures else "profcore-data.zip",
        "application/zip",
        key=f"zip-{'figures' if figures else 'data'}",
        icon=":material/folder_zip:",
        on_click="ignore",
        width="stretch",
    )
