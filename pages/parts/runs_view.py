"""The table of all runs with its filters, and what can be done with those chosen."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from pages.parts import compare_view, import_view
from pages.parts.state import service
from profcore.errors import UserError
from profcore.service.words import environment_line
from profcore.spec.stages import State

_PROBLEM = "runs-problem"
_VERSION = "runs-version"


def show() -> None:
    """Draw the table, and below it what the chosen runs allow."""
    table, below = st.container(), st.container()
    with below:
        st.divider()
        # Before the table, which is to hold what is taken in now.
        import_view.show()
    runs = service().run_table()
    with table:
        _runs(runs)
    with below:
        _whole(runs)


def _runs(runs: pd.DataFrame) -> None:
    if problem := st.session_state.pop(_PROBLEM, ""):
        st.error(problem)
    if runs.empty:
        st.info("Nothing has been measured or taken in yet.")
        return
    shown = _filtered(runs)
    chosen = _table(shown)
    st.caption(f"{len(shown):,} of {len(runs):,} runs, {int(shown['num_samples'].sum()):,} samples.")
    if len(chosen) == 1:
        _one(next(run for run in runs.to_dict("records") if run["id"] == chosen[0]))
    elif len(chosen) > 1:
        compare_view.show(chosen)


def _filtered(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that the filters let through."""
    first, second, third, fourth, fifth = st.columns([2, 1.4, 1.4, 1.4, 2])
    for column, field, label in (
        (first, "title_of_experiment", "Experiment"),
        (second, "source", "Source"),
        (third, "state", "State"),
        (fourth, "engine", "Engine"),
    ):
        options = sorted(set(runs[field].dropna()))
        picked = column.multiselect(label, options, key=f"filter-{field}", placeholder="all")
        if picked:
            runs = runs[runs[field].isin(picked)]
    text = fifth.text_input("Name, device or model holds", key="filter-text", bind="query-params").strip().lower()
    if text:
        runs = runs[runs["title"].str.lower().str.contains(text, regex=False)]
    return runs


def _table(runs: pd.DataFrame) -> list[str]:
    """Draw the table; the ids of the rows chosen in it."""
    frame = pd.DataFrame(
        {
            "When (UTC)": runs["created_at"].dt.strftime("%Y-%m-%d %H:%M:%S"),
            "Experiment": runs["title_of_experiment"],
            "Source": runs["source"],
            "State": runs["state"],
            "Samples": runs["num_samples"],
            "Run": runs["title"],
            "Dtype": runs["dtype"],
            "Clock": runs["clock"],
        }
    )
    # A table of other rows is another table: a choice in the old one would point at the wrong runs.
    version = st.session_state.setdefault(_VERSION, 0)
    key = f"runs-{version}-{hash(tuple(runs['id']))}"
    event: Any = st.dataframe(
        frame,
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        key=key,
        height=min(len(frame), 10) * 35 + 38,
    )
    return [runs["id"].iloc[row] for row in event.selection.rows]


def _one(run: dict[Any, Any]) -> None:
    """What can be done with one run."""
    st.subheader(run["title"])
    measured = service().store.run(run["id"])
    assert measured
    st.caption(environment_line(measured["environment"], State(measured["state"])))
    naming, saving, deleting = st.columns([3, 1.3, 1.3], vertical_alignment="bottom")
    name = measured["name"] or ""
    naming.text_input(
        "Name",
        name,
        key=f"name-{run['id']}",
        placeholder="as it was measured",
        on_change=_rename,
        args=(run["id"],),
    )
    saving.download_button(
        "Download, with figures",
        lambda: service().downloads.run_zip(run["id"]),
        f"{run['id']}.zip",
        "application/zip",
        icon=":material/download:",
        on_click="ignore",
        width="stretch",
    )
    if deleting.button("Delete…", icon=":material/delete:", width="stretch", key="delete"):
        _confirm(run)


@st.dialog("Delete this run?")
def _confirm(run: dict[Any, Any]) -> None:
    st.markdown(f"**{run['title_of_experiment']}**: {run['title']}, {run['num_samples']:,} samples.")
    back = " Sample results can be brought back below the table." if run["source"] == "shipped" else ""
    st.markdown(f"Its samples and its spool are deleted and cannot be restored.{back}" if not back else back.strip())
    keep, delete = st.columns(2)
    if keep.button("Keep it", width="stretch"):
        st.rerun()
    if delete.button("Delete", type="primary", width="stretch", key="really-delete"):
        try:
            service().remove(run["id"])
        except UserError as error:
            st.session_state[_PROBLEM] = str(error)
        st.session_state[_VERSION] += 1
        st.rerun()


def _rename(run_id: str) -> None:
    try:
        service().rename(run_id, st.session_state[f"name-{run_id}"])
    except UserError as error:
        st.session_state[_PROBLEM] = str(error)


def _whole(runs: pd.DataFrame) -> None:
    """What can be done with all of them: download everything, bring sample results back."""
    first, second, third = st.columns(3)
    if not runs.empty:
        _all_zip(first)
    second.download_button(
        "DuckDB snapshot",
        lambda: service().downloads.snapshot(),
        "profcore-snapshot.duckdb",
        "application/octet-stream",
        icon=":material/database:",
        on_click="ignore",
        width="stretch",
        help="A copy of the whole database, made while it is in use.",
    )
    if service().store.removed():
        third.button(
            "Bring sample results back",
            icon=":material/undo:",
            width="stretch",
            on_click=service().store.restore_shipped,
        )


def _all_zip(place: Any) -> None:
    """A zip of all runs: it takes about a second each, so it is made first and downloaded then."""
    ready = st.session_state.get("all-zip")
    if ready is not None:
        place.download_button(
            f"Download the zip ({len(ready) / 1e6:,.0f} MB)",
            ready,
            "profcore-runs.zip",
            "application/zip",
            icon=":material/download:",
            type="primary",
            width="stretch",
            on_click=lambda: st.session_state.pop("all-zip", None),
        )
        return
    number = len(service().downloads.ended_runs())
    if place.button(f"Make a zip of all {number} runs", icon=":material/folder_zip:", width="stretch", key="make-zip"):
        bar = place.progress(0.0, "Drawing figures…")
        st.session_state["all-zip"] = service().downloads.all_zip(
            lambda done: bar.progress(done / number, f"{done} of {number} runs")
        )
        st.rerun()
