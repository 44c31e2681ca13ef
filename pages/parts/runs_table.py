"""The table of all runs: its filters, its columns, and which runs are chosen in it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import streamlit as st

from pages.parts import address, leads
from pages.parts.state import service
from profcore.spec.marks import parted

VERSION = "runs-version"
_COMPARED = "compare"
_RUN = "run"
_ROWS_SHOWN = 10


def all_runs() -> tuple[pd.DataFrame, pa.Table]:
    """All runs with their figures, newest first, and the same as the table shows them; neither may be changed."""

    def make() -> tuple[pd.DataFrame, pa.Table]:
        runs = service().runs_with_figures()
        return runs, _as_shown(runs)

    return service().shared.get(("table of runs",), make)


def show(runs: pd.DataFrame, whole: pa.Table) -> list[str]:
    """Draw the filters and the table; the ids of the runs chosen in it, in the order in which they were.

    The address holds them. A chosen run stays in the table whatever the filters say, so that a link shows its receiver
    the same. The arguments are what `all_runs` gives.
    """
    wanted = address.several(_COMPARED) or address.several(_RUN)
    there = set(runs.loc[runs["id"].isin(wanted), "id"])
    chosen = [run_id for run_id in wanted if run_id in there]
    kept = _filtered(runs)
    kept |= runs["id"].isin(chosen)
    shown = runs[kept]
    chosen = _table(shown["id"].tolist(), whole.filter(pa.array(kept)), chosen)
    hidden = int(runs["archived"].sum()) - int(shown["archived"].sum())
    archived = f" {hidden:,} archived not shown." if hidden and not st.session_state.get("archived") else ""
    st.caption(f"{len(shown):,} of {len(runs):,} runs, {int(shown['num_samples'].sum()):,} samples.{archived}")
    st.caption(
        "Middle TTFT and TPOT: over a run's settings, the median of each setting's median. What each setting takes "
        "stands on the run's own page."
    )
    return chosen


def _filtered(runs: pd.DataFrame) -> pd.Series:
    """Which of the runs the filters let through."""
    kept = pd.Series(True, index=runs.index)
    first, second, third, fourth, fifth = st.columns([2, 1.4, 1.4, 1.4, 2])
    for column, field, label in (
        (first, "title_of_experiment", "Experiment"),
        (second, "source", "Source"),
        (third, "state", "State"),
        (fourth, "engine", "Engine"),
    ):
        options = sorted(runs[field].dropna().unique())
        picked = column.multiselect(label, options, key=f"filter-{field}", placeholder="all", bind="query-params")
        if picked:
            kept &= runs[field].isin(picked)
    tags = {text: parted(text) for text in runs["tags"].unique()}
    options = sorted({tag for several in tags.values() for tag in several}, key=str.casefold)
    for tag in fifth.multiselect("Tags", options, key="tags", placeholder="any", bind="query-params"):
        kept &= runs["tags"].map({text: tag in several for text, several in tags.items()}).astype(bool)
    return kept & _found(runs)


def _found(runs: pd.DataFrame) -> pd.Series:
    """Which of the runs the second row of filters lets through: a text, two days (both included), star and archive."""
    kept = pd.Series(True, index=runs.index)
    first, second, third, fourth, fifth = st.columns([2, 1.4, 1.4, 1.4, 2], vertical_alignment="bottom")
    text = first.text_input("Name, device or model holds", key="filter-text", bind="query-params").strip().lower()
    if text:
        kept &= runs["title"].str.lower().str.contains(text, regex=False)
    if since := second.date_input("From (UTC)", None, key="since", bind="query-params"):
        kept &= runs["created_at"] >= pd.Timestamp(since)
    if until := third.date_input("To (UTC)", None, key="until", bind="query-params"):
        kept &= runs["created_at"] < pd.Timestamp(until) + pd.Timedelta(days=1)
    if fourth.toggle("Starred alone", key="starred", bind="query-params"):
        kept &= runs["starred"]
    if not fifth.toggle("Archived too", key="archived", bind="query-params"):
        kept &= ~runs["archived"]
    return kept


def _table(ids: list[str], table: pa.Table, chosen: list[str]) -> list[str]:
    """Draw the table with the chosen runs' rows selected; the ids of those that are selected now."""
    # A table of other rows is another table: a selection in the old one would point at the wrong runs.
    key = f"runs-{st.session_state.setdefault(VERSION, 0)}-{hash(tuple(ids))}"
    moved = [address.moved(name) for name in (_COMPARED, _RUN)]
    if key not in st.session_state or any(moved):
        places = {run_id: place for place, run_id in enumerate(ids)}
        st.session_state[key] = {"selection": {"rows": [places[run_id] for run_id in chosen]}}
    event: Any = st.dataframe(
        table,
        hide_index=True,
        on_select="rerun",
        selection_mode="multi-row",
        key=key,
        height=min(len(ids), _ROWS_SHOWN) * 35 + 38,
        column_config=_columns(),
        placeholder="—",
    )
    selected = [ids[row] for row in event.selection.rows]
    # The first stays the first: it is what others are compared with.
    ordered = [run_id for run_id in chosen if run_id in selected]
    ordered += [run_id for run_id in selected if run_id not in ordered]
    if ordered != chosen:
        address.keep(run=None, compare=address.joined(ordered))
    return ordered


def put_first(run_id: str, chosen: list[str]) -> None:
    """Have another of the chosen runs be what the others are compared with."""
    address.keep(compare=address.joined([run_id, *(each for each in chosen if each != run_id)]))


def _as_shown(runs: pd.DataFrame) -> pa.Table:
    """Runs as the table shows them; as Arrow has them, since that is what is sent, and again each time it is drawn."""
    columns = {
        "Open": leads.relative_links(runs["experiment"].tolist(), runs["id"].tolist()),
        "★": runs["starred"].map({True: "★", False: ""}),
        "When (UTC)": runs["created_at"].dt.strftime("%Y-%m-%d %H:%M:%S"),
        "Experiment": runs["title_of_experiment"],
        "Run": runs["title"],
        "State": runs["state"],
        "TTFT": runs["ttft_ms"],
        "TPOT": runs["tpot_ms"],
        "Total": pa.array(runs["totals_ms"], pa.list_(pa.float32()), from_pandas=True),
        "Samples": runs["num_samples"],
        **({"Left out": runs["num_set_aside"]} if runs["num_set_aside"].any() else {}),
        "Duration": runs["duration_s"],
        "Tags": runs["tags"],
        "Note": runs["note"],
        "Source": runs["source"],
        "Dtype": runs["dtype"],
        "Clock": runs["clock"],
    }
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, from_pandas=True) for column in columns.values()
    ]
    return pa.table(arrays, names=list(columns))


def _columns() -> dict[str, Any]:
    """How columns that are not simply text are shown."""
    of = "of each setting's samples the median, of these the median again"
    return {
        "Open": st.column_config.LinkColumn(
            "Open", display_text="Open", width=60, help="The run on its own page, in a new tab."
        ),
        "★": st.column_config.TextColumn("★", width=40, help="Runs that were starred."),
        "Run": st.column_config.TextColumn("Run", width=190),
        "TTFT": st.column_config.NumberColumn("Middle TTFT (ms)", format="%.4g", help=f"Time to first token: {of}."),
        "TPOT": st.column_config.NumberColumn("Middle TPOT (ms)", format="%.4g", help=f"Time per output token: {of}."),
        "Left out": st.column_config.NumberColumn(
            "Left out", help="Samples that are in no figure, since what they were measured on differs from the rest."
        ),
        "Duration": st.column_config.NumberColumn(
            "Duration (s)", format="%.4g", help="From its start, or where it was resumed, to its end."
        ),
        "Total": st.column_config.BarChartColumn(
            "Total by setting",
            width=120,
            y_min=0,
            help="Median total of each setting, in the settings' order; of real pictures, quantiles of these. "
            "Each run has a scale of its own.",
        ),
    }
