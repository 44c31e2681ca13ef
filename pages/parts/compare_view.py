"""Two or more runs side by side: settings matched, ratios with intervals, and verdicts."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.parts.state import service
from profcore.comparisons.runs import MARGIN, compare_all, display_comparison
from profcore.export.archive import load_run
from profcore.results.base import tell_apart
from profcore.stats import SMALLEST_FOR_POOLED_RATIO, SMALLEST_FOR_RATIO

_MOST = 6


def show(run_ids: list[str]) -> None:
    """Draw the comparison of runs with one of them."""
    st.subheader("Side by side")
    if len(run_ids) > _MOST:
        st.info(f"{len(run_ids)} runs are chosen; the first {_MOST} are compared.")
    loaded = {run_id: load_run(service().store, run_id) for run_id in run_ids[:_MOST]}
    rows = {run["id"]: run for run in service().run_table().to_dict("records")}
    called = tell_apart({run_id: _short_name(rows[run_id]) for run_id in loaded if run_id in rows})
    runs = {run_id: run for run_id, run in loaded.items() if run is not None and not run.samples.empty}
    for run_id in loaded.keys() - runs.keys():
        st.info(f"{called.get(run_id, run_id)} has no samples to compare.")
    if len(runs) < 2:
        return
    left, right = st.columns([4, 1])
    reference = left.selectbox("Compared with", list(runs), format_func=lambda id: called[id], key="reference")
    margin = right.number_input(
        "Counts from (%)",
        0.1,
        50.0,
        100 * MARGIN,
        0.5,
        key="margin",
        help="A difference smaller than this does not count: a run whose whole interval lies within is the same.",
    )
    ordered = [runs[reference], *(run for run_id, run in runs.items() if run_id != reference)]
    found = compare_all(ordered, margin / 100, called)
    if not found.differences:
        st.caption("Every condition that is recorded is the same in all of them.")
    for difference in found.differences:
        st.caption(f":material/warning: {difference}.")
    table, others = found.table(), list(found.runs.values())
    if table.empty:
        st.info("These runs have no setting in common: a setting matches where every knob is the same that both know.")
        return
    first = ["run"] if len(others) > 1 else []
    st.dataframe(display_comparison(table, first), hide_index=True)
    st.caption(
        "Ratio: median over the reference's, over all matched settings their geometric mean, with its 95 % interval. "
        f"It needs {SMALLEST_FOR_RATIO} samples of each; with fewer, the mean needs {SMALLEST_FOR_POOLED_RATIO} "
        "settings. It says how well these runs are told apart, not how much a repeat on another day would differ. "
        f"Verdict: *same* where the whole interval lies within ±{margin:g} %, *faster* or *slower* where it lies on "
        "one side of 1, else *undecided*."
        + _unmatched_words(sum(each.unmatched for each in others), sum(each.ambiguous for each in others))
    )
    with st.expander("Setting by setting"):
        st.dataframe(
            display_comparison(found.table("settings").rename(columns={"title": "setting"}), [*first, "setting"]),
            hide_index=True,
        )


def _unmatched_words(unmatched: int, ambiguous: int) -> str:
    """How many settings are in no ratio, and why."""
    text = f" {unmatched} settings have no counterpart." if unmatched else ""
    if ambiguous:
        text += f" Of these {ambiguous} fit several settings of the other run, which says too little of its own."
    return text


def _short_name(run: dict) -> str:
    """How a comparison calls a run: its name or engine, and when it was measured."""
    called = run["name"] if isinstance(run["name"], str) else run["engine"] or run["state"]
    return f"{called}, {pd.Timestamp(run['created_at']).strftime('%d %b %H:%M:%S')}"
