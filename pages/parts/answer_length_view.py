"""A finding beside its chart: decode per token grows with the answer since n tokens take n-1 steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.parts import figure_view, trade_off_data
from pages.parts.text import plain
from profcore import charts
from profcore.export.captions import run_provenance
from profcore.tradeoff.answer_length import length_sentence, over_length

if TYPE_CHECKING:
    import pandas as pd

    from profcore.results.base import MeasuredRun

_WHAT = "Decode per token and per step over the length of the answer."


def section(result: MeasuredRun) -> None:
    """Draw decode divided by tokens and by steps, where answers of several lengths were measured."""
    if result.samples.empty:
        return
    rows = over_length(result.samples)
    if length_sentence(rows):
        st.subheader("Per token or per step?")
        _draw(rows, result.run)


def show(run: dict[str, Any], quality: str) -> None:
    """Draw the same of a joint run, at one value of each knob that a step depends on.

    Args:
        run: As `Reader.run`.
        quality: Of no matter here.
    """
    del quality
    answers = trade_off_data.answers(run["id"])
    titles = {f"top-{top_k:g}, {blocks:g} blocks": (top_k, blocks) for top_k, blocks in answers}
    if not titles:
        st.info("No two answers of this run differ in length alone: measure several numbers of output tokens.")
        return
    chosen = st.selectbox("At", list(titles), key=f"answers-{run['id']}")
    _draw(answers[titles[chosen]], run)
    st.caption("Over all crops, which a step hardly depends on.")


def _draw(rows: pd.DataFrame, run: dict[str, Any]) -> None:
    source = run_provenance(run, _WHAT, "Points: medians; whiskers: their 95 % intervals.")
    figure_view.draw(charts.answer_length(rows), "decode_per_token_and_per_step", "answer-length", source=source)
    st.markdown(plain(length_sentence(rows)))
