"""How far processes differ on the card and engine of a run: a line below it, and what was measured of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.parts.state import service
from pages.parts.text import plain
from profcore.comparisons.between import CLAIM, alike, display_between, quoted
from profcore.spec.text import counted

if TYPE_CHECKING:
    from profcore.comparisons.between import Series
    from profcore.results.sweep import Result


def show(result: Result) -> None:
    """Draw what is known of it; nothing where nothing like it was repeated in several processes."""
    key = alike(result.run["environment"])
    series = [each for each in service().series() if key is not None and each.key == key]
    if not series:
        return
    st.caption(f":material/hub: {plain(quoted(service().spreads()[series[0].key]))}")
    own = [each for each in series if each.experiment == result.run["experiment"]]
    for each in own:
        _details(each, result.run["id"])


def _details(series: Series, run_id: str) -> None:
    """The tables of one series, folded away."""
    number = counted(len(series.run_ids), "process", "processes")
    this = ", this run among them" if run_id in series.run_ids else ""
    with st.expander(f"Between {plain(number + this)}: {plain(series.run_ids[0])} and later", icon=":material/hub:"):
        for of in ("stages", "settings"):
            table = display_between(series.found, of)
            names = [name for name in table.columns if name not in ("setting", "latency")]
            aligned = {name: st.column_config.Column(alignment="right") for name in names}
            st.dataframe(table, hide_index=True, column_config=aligned)
        st.caption(
            "Standard deviations in per cent of the latency: of a process's median from another's, with its 95 % "
            "interval, without what the median of one process is not known by itself, which stands beside it. The last "
            f"column says how many processes, and samples of each, hold a claim of ±{100 * CLAIM:g} % at 95 %, with "
            "the fewest inferences."
        )
