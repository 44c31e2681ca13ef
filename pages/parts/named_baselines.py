"""Baselines by name: runs that later ones are held against by `regress`, set and let go of where a run is shown.

What is pinned for a moment, to be laid over charts, is `baseline`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.parts.pressed import pressed
from pages.parts.state import service
from pages.parts.text import plain, say_error
from profcore.errors import UserError
from profcore.spec.baselines import LONGEST_NAME

if TYPE_CHECKING:
    from profcore.results.base import MeasuredRun

_PROBLEM = "named-baselines-problem"


def of_runs() -> dict[str, list[str]]:
    """The names by which runs are baselines, by the run's id."""
    found: dict[str, list[str]] = {}
    for row in service().baselines().to_dict("records"):
        found.setdefault(row["run_id"], []).append(row["name"])
    return found


def offer(result: MeasuredRun, place: str = "") -> None:
    """Draw by which names a run is a baseline, and what sets and removes them; nothing of a run that can be none.

    Args:
        result: A run that has ended.
        place: Tells it apart from others on the page.
    """
    if not result.state.ended or result.samples.empty:
        return
    run_id = result.run["id"]
    named = {row["name"]: row["run_id"] for row in service().baselines().to_dict("records")}
    own = [name for name, each in named.items() if each == run_id]
    label = f"Baseline: {', '.join(own)}" if own else "Set as baseline"
    with st.popover(plain(label), icon=":material/flag:", type="tertiary", key=f"baselines-{place}-{run_id}"):
        st.caption("Later runs are held against it by its name: `python -m profcore regress RUN --against NAME`.")
        name = st.text_input(
            "Name",
            result.run["experiment"],
            key=f"baseline-name-{place}-{run_id}",
            max_chars=LONGEST_NAME,
            help="The name of another run's baseline moves it to this run.",
        )
        other = named.get(" ".join(name.split()))
        if other is not None and other != run_id:
            st.caption(f":material/info: It is run {plain(other)} so far.")
        if pressed("Set", f"set-baseline-{place}-{run_id}", icon=":material/flag:", width="stretch"):
            _set(name, run_id)
        for each in own:
            # The name is in the key: what was removed is no button that was pressed.
            key = f"remove-baseline-{place}-{run_id}-{each}"
            if pressed(f"Remove {plain(each)}", key, icon=":material/delete:", width="stretch"):
                _remove(each)
    if problem := st.session_state.pop(_PROBLEM, ""):
        say_error(problem)


def _set(name: str, run_id: str) -> None:
    try:
        service().set_baseline(name, run_id)
    except UserError as error:
        st.session_state[_PROBLEM] = str(error)
    # Drawn anew, since what stands above names it as well.
    st.rerun()


def _remove(name: str) -> None:
    try:
        service().remove_baseline(name)
    except UserError as error:
        st.session_state[_PROBLEM] = str(error)
    st.rerun()
