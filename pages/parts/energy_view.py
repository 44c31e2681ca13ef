"""What a run's settings take in joules, under the chart of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.parts.tables import figures
from pages.parts.text import plain
from profcore.results.energy import display_energy, energy_failures, energy_words, has_energy
from profcore.spec.text import counted

if TYPE_CHECKING:
    from profcore.results.sweep import Result


def explain(result: Result) -> None:
    """The joules of each setting, how they were got, and why there are none where that is so."""
    for reason, number in energy_failures(result.settings):
        st.warning(
            f"No energy could be found of {number:,} of {counted(len(result.settings), 'setting')}: {plain(reason)}"
        )
    if not has_energy(result):
        return
    figures(display_energy(result), "setting")
    st.caption(plain(energy_words(result)))
    st.caption(
        "Decode per output token is decode's joules over its steps, as TPOT is; tokens per joule are all output tokens "
        "over the joules of the whole inference."
    )
