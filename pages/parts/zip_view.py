"""All runs as a zip: data alone at once, with figures once these were drawn, which no page waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.parts.state import fragment, service
from pages.parts.text import plain
from profcore.spec.text import counted

if TYPE_CHECKING:
    from profcore.service.downloads import Downloads
    from profcore.service.figures import Progress

_LOOK_S = 0.5
_MOST_NAMED = 3


def show() -> None:
    """Draw the downloads, which are made when they are pressed."""
    asked, runs = service().downloads, service().downloads.ended_runs()
    if not runs:
        st.caption("Once a run has ended, all that have are offered here as a zip.")
        return
    _download(asked, f"Data of all {counted(len(runs), 'run')}", figures=False)
    far = asked.figures.progress(runs)
    if far.done == len(runs):
        _with_figures(asked, far)
    elif far.going:
        fragment(run_every=_LOOK_S)(_follow)()
    else:
        _offer(far, len(runs))


def _offer(far: Progress, runs: int) -> None:
    there = f" Those of {far.done:,} of {counted(runs, 'run')} are there already." if far.done else ""
    st.button(
        "Draw all figures…",
        key="draw-figures",
        icon=":material/folder_zip:",
        width="stretch",
        on_click=_begin,
        help="In the background and with the lowest priority: some seconds a run and so minutes for many, longer while "
        "this machine is busy. It goes on though this page is left, and can be stopped. Once all are drawn they can be "
        f"downloaded with the data.{plain(there)}",
    )


def _begin() -> None:
    service().downloads.figures.ask(service().downloads.ended_runs())


def _follow() -> None:
    """Say how many runs have their figures; the whole page is drawn anew once all have, or somebody has stopped."""
    runs = service().downloads.ended_runs()
    far = service().downloads.figures.progress(runs)
    if not far.going:
        st.rerun()
    st.progress(far.done / len(runs), f"Figures of {far.done:,} of {counted(len(runs), 'run')}")
    st.button(
        "Stop",
        key="stop-figures",
        icon=":material/stop:",
        width="stretch",
        on_click=service().downloads.figures.stop,
        help="For everybody who looks at this dashboard. What is drawn is kept until the dashboard ends.",
    )


def _with_figures(asked: Downloads, far: Progress) -> None:
    _download(asked, "Data and figures of all", figures=True)
    for reason in list(far.failed.values())[:_MOST_NAMED]:
        st.caption(f":material/warning: {plain(reason)}")
    if len(far.failed) > _MOST_NAMED:
        st.caption(f":material/warning: {counted(len(far.failed), 'run')} in all have no figures.")


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
