"""The tables of a knob's run, a tab each: its summary, its samples, what was asked for and what it was measured on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.parts import run_parts, tables
from pages.parts.text import plain
from profcore.results.tables import STATISTICS, summary_words
from profcore.stats import FLAGS

if TYPE_CHECKING:
    from pages.parts.run_drawing import Drawing


def show(drawing: Drawing) -> None:
    """Draw the tab that is open."""
    result = drawing.result
    summary, samples, environment = st.tabs(
        ["Summary", "Samples", "Settings and environment"], key="run-tables", on_change="rerun"
    )
    if summary.open:
        with summary:
            if not result.summary.empty:
                _summary(drawing)
    if samples.open:
        with samples:
            if result.samples.empty:
                st.caption("No samples.")
            else:
                _samples(drawing)
    if environment.open:
        with environment:
            run_parts.environment(result, drawing.described())


def _summary(drawing: Drawing) -> None:
    """A row for each setting, with a switch for what is said of each latency."""
    statistic = st.selectbox("Statistic", list(STATISTICS), key="statistic", width=240, bind="query-params")
    tables.figures(drawing.summary(statistic), "setting")
    st.caption(plain(summary_words(drawing.result.run["spec"])))


def _samples(drawing: Drawing) -> None:
    shown, number = drawing.samples(), len(drawing.result.samples)
    tables.figures(shown, "setting", "outlier", *FLAGS.values())
    if number > len(shown):
        st.caption(f"The newest {len(shown)} of {number:,} samples; all of them once the run has ended.")
