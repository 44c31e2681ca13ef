"""A finding beside its chart: decode per token grows with the answer since n tokens take n-1 steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.parts import figure_view
from pages.parts.text import plain
from profcore import charts
from profcore.export.captions import run_provenance
from profcore.tradeoff.answer_length import length_sentence, over_length

if TYPE_CHECKING:
    from profcore.results.base import MeasuredRun

_WHAT = "Decode per token and per step over the length of the answer."


def section(result: MeasuredRun) -> None:
    """Draw decode divided by tokens and by steps, where answers of several lengths were measured."""
    if result.samples.empty:
        return
    rows = over_length(result.samples)
    said = length_sentence(rows)
    if not said:
        return
    st.subheader("Per token or per step?")
    source = run_provenance(result.run, _WHAT, "Points: medians; whiskers: their 95 % intervals.")
    figure_view.draw(charts.answer_length(rows), "decode_per_token_and_per_step", "answer-length", source=source)
    st.markdown(plain(said))
