"""The shards of a run that was split: how far each is and where, what it printed, and the commands that act on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.parts import tables
from pages.parts.state import service
from pages.parts.text import plain
from profcore.service.campaigns import printed, shard_rows

if TYPE_CHECKING:
    from profcore.results.base import MeasuredRun
    from profcore.service.campaigns import Submitted

_WORDS = ("state", "host", "card", "why", "job")


def show(result: MeasuredRun) -> None:
    """Draw the shards of a run, while it grows and after; nothing of a run that was not split.

    Args:
        result: The run.
    """
    run_id = result.run["id"]
    if not result.run["parts"]:
        return
    submitted = service().campaigns.of(run_id)
    rows = shard_rows(result.run, submitted)
    # What it says stays the same as shards go on: another label would be another element, and closed again.
    with st.expander(f"Shards: how far each of {len(rows)} is, and where", icon=":material/account_tree:"):
        numbers = rows["state"].value_counts()
        st.caption(plain(", ".join(f"{number} {word}" for word, number in numbers.items())))
        tables.figures(rows, *_WORDS)
        if submitted is None:
            st.caption("Their logs are where each was started: no folder of a campaign was found beside this database.")
            return
        if submitted.problem:
            st.caption(f":material/warning: Whoever runs them was asked in vain. {plain(submitted.problem)}")
        _log(submitted, run_id)
        for what, command in submitted.commands.items():
            st.caption(plain(what))
            st.code(command, language="bash", wrap_lines=True)


def _log(submitted: Submitted, run_id: str) -> None:
    """Draw the end of what a shard printed, of the first that is not done unless another is chosen."""
    numbers = [each.shard for each in submitted.states if each.log is not None]
    if not numbers:
        return
    undone = [each.shard for each in submitted.states if each.log is not None and not each.is_done]
    first = numbers.index((undone or numbers)[0])
    shard = st.selectbox("Log of shard", numbers, first, key=f"log-of-{run_id}")
    lines = printed(submitted, shard)
    if lines:
        st.code("\n".join(lines), language=None, wrap_lines=True, height=240)
    else:
        st.caption("It has printed nothing yet.")
