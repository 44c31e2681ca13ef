"""Two or more runs side by side: settings matched, ratios with intervals, and verdicts."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.parts.state import service
from profcore.comparisons.runs import MARGIN, compare_runs, display_comparison, run_differences
from profcore.export.archive import load_run
from profcore.stats import SMALLEST_FOR_POOLED_RATIO, SMALLEST_FOR_RATIO

_MOST = 6


def show(run_ids: list[str]) -> None:
    """Draw the comparison of runs with one of them."""
    st.subheader("Side by side")
    if len(run_ids) > _MOST:
        st.info(f"{len(run_ids)} runs are chosen; the first {_MOST} are compared.")
    loaded = {run_id: load_run(service().store, run_id) for run_id in run_ids[:_MOST]}
    called = {run["id"]: _short_name(run) for run in service().run_table().to_dict("records")}
    names = {run_id: called[run_id] for run_id, run in loaded.items() if run is not None and not run.samples.empty}
    for run_id in loaded.keys() - names.keys():
        st.info(f"{called.get(run_id, run_id)} has no samples to compare.")
    if len(names) < 2:
        return
    left, right = st.columns([4, 1])
    reference = left.selectbox("Compared with", list(names), format_func=lambda id: names[id], key="reference")
    margin = right.number_input(
        "Counts from (%)",
        0.1,
        50.0,
        100 * MARGIN,
        0.5,
        key="margin",
        help="A difference smaller than this does not count: a run whose whole interval lies within is the same.",
    )
    runs = {run_id: run for run_id in names if (run := loaded[run_id]) is not None}
    others = [run_id for run_id in names if run_id != reference]
    comparisons = {run_id: compare_runs(runs[reference], runs[run_id], margin / 100) for run_id in others}
    for difference in run_differences({names[run_id]: run for run_id, run in runs.items()}):
        st.caption(f":material/warning: {difference}.")
    stages = [each.stages.assign(run=names[run_id]) for run_id, each in comparisons.items()]
    settings = [each.settings.assign(run=names[run_id]) for run_id, each in comparisons.items()]
    table = pd.concat(stages, ignore_index=True)
    if table.empty:
        st.info("These runs have no setting in common: a setting matches where every knob is the same.")
        return
    first = ["run"] if len(others) > 1 else []
    st.dataframe(display_comparison(table, first), hide_index=True)
    unmatched = sum(each.unmatched for each in comparisons.values())
    st.caption(
        "Ratio: median over the reference's, over all matched settings their geometric mean, with its 95 % interval. "
        f"It needs {SMALLEST_FOR_RATIO} samples of each; with fewer, the mean needs {SMALLEST_FOR_POOLED_RATIO} "
        "settings. It says how well these runs are told apart, not how much a repeat on another day would differ. "
        f"Verdict: *same* where the whole interval lies within ±{margin:g} %, *faster* or *slower* where it lies on "
        "one side of 1, else *undecided*." + (f" {unmatched} settings have no counterpart." if unmatched else "")
    )
    with st.expander("Setting by setting"):
        st.dataframe(
            display_comparison(
                pd.concat(settings, ignore_index=True).rename(columns={"title": "setting"}), [*first, "setting"]
            ),
            hide_index=True,
        )


def _short_name(run: dict) -> str:
    """How a comparison calls a run: its name or engine, and when it was measured."""
    called = run["name"] if isinstance(run["name"], str) else run["engine"] or run["state"]
    return f"{called}, {pd.Timestamp(run['created_at']).strftime('%d %b %H:%M:%S')}"
