"""Two or more runs side by side: what they are, charts over each other, ratios with intervals, and verdicts."""

from __future__ import annotations

from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from pages.parts import address, figure_view, hand_over, leads, runs_table, tables
from pages.parts.state import service
from pages.parts.text import plain
from profcore import charts
from profcore.comparisons import overlay
from profcore.comparisons.energy import display_energy_comparison
from profcore.comparisons.runs import MARGIN, compare_all, display_comparison
from profcore.export.captions import several_sources
from profcore.results.base import tell_apart
from profcore.results.sweep import Result
from profcore.service.words import environment_line
from profcore.spec.text import counted
from profcore.stats import METRIC_LABELS, METRICS, SMALLEST_FOR_POOLED_RATIO, SMALLEST_FOR_RATIO

if TYPE_CHECKING:
    from profcore.comparisons.runs import Comparison
    from profcore.results.pictures import PictureResult

_MOST = 6
_A_ROW = 3


def show(run_ids: list[str]) -> None:
    """Draw the comparison of runs with the first of them, or with another that is chosen here."""
    heading, linking = st.columns([5, 1], vertical_alignment="bottom")
    heading.subheader("Side by side")
    with linking:
        address.offer_link()
    if len(run_ids) > _MOST:
        st.info(f"{len(run_ids)} runs are chosen; the first {_MOST} are compared.")
    runs, called = _load(run_ids[:_MOST])
    if len(runs) < 2:
        return
    margin = _choose(list(runs), run_ids, called)
    letters = dict(zip(runs, ascii_uppercase, strict=False))
    names = {run_id: f"{letters[run_id]}: {called[run_id]}" for run_id in runs}
    _headings(runs, letters, called)
    found = compare_all(list(runs.values()), margin, names, service().spreads())
    if not found.differences:
        st.caption("Every condition that is recorded is the same in all of them.")
    for difference in found.differences:
        st.caption(f":material/warning: {plain(difference)}.")
    if found.table().empty:
        st.info("These runs have no setting in common: a setting matches where every knob is the same that both know.")
        return
    for sentence in overlay.sentences(found, margin, letters):
        st.markdown(f"**{plain(sentence)}**")
    for sentence in found.processes:
        st.caption(f":material/hub: {plain(sentence)}")
    _charts(found, list(runs.values()), margin)
    _tables(found, margin)
    hand_over.show(list(runs), "compared")


def _load(run_ids: list[str]) -> tuple[dict[str, Result | PictureResult], dict[str, str]]:
    """The runs with samples in their order, and what each is called; what is left out is said."""
    loaded = {run_id: service().results.any(run_id) for run_id in run_ids}
    listed = service().runs()
    rows = {run["id"]: run for run in listed[listed["id"].isin(run_ids)].to_dict("records")}
    called = tell_apart({run_id: _short_name(rows[run_id]) for run_id in loaded if run_id in rows})
    runs: dict[str, Any] = {run_id: run for run_id, run in loaded.items() if run and not run.samples.empty}
    for run_id in loaded.keys() - runs.keys():
        st.info(f"{plain(called.get(run_id, run_id))} has no samples to compare.")
    return runs, called


def _choose(runs: list[str], chosen: list[str], called: dict[str, str]) -> float:
    """Draw the choice of what the others are compared with, which then comes first, and of the margin, a share."""
    left, right = st.columns([4, 1])
    # The order in the address says it.
    st.session_state["reference"] = runs[0]
    left.selectbox(
        "Compared with",
        runs,
        format_func=lambda id: called[id],
        key="reference",
        on_change=lambda: runs_table.put_first(st.session_state["reference"], chosen),
    )
    margin = right.number_input(
        "Counts from (%)",
        0.1,
        50.0,
        100 * MARGIN,
        0.5,
        key="margin",
        bind="query-params",
        help="A difference smaller than this does not count: a run whose whole interval lies within is the same.",
    )
    return margin / 100


def _headings(runs: dict[str, Result | PictureResult], letters: dict[str, str], called: dict[str, str]) -> None:
    """What each run is, with a way to its page."""
    ordered = list(runs)
    for start in range(0, len(ordered), _A_ROW):
        row = ordered[start : start + _A_ROW]
        for column, run_id in zip(st.columns(len(row), border=True), row, strict=True):
            run, letter = runs[run_id], letters[run_id]
            with column:
                st.markdown(f"#### {plain(letter)}{', the reference' if run_id == ordered[0] else ''}")
                st.markdown(plain(called[run_id]))
                st.caption(plain(environment_line(run.run["environment"], run.state, run.run["environments"])))
                file, query = leads.lead(run.run["experiment"], run_id)
                st.page_link(file, label=f"Open {letter}", icon=":material/open_in_full:", query_params=query)


def _charts(found: Comparison, runs: list[Result | PictureResult], margin: float) -> None:
    """The medians over each other, and the ratios, of the latency that is chosen."""
    table = found.table()
    present = {METRIC_LABELS[metric]: metric for metric in METRICS if metric in set(table["metric"])}
    default = METRIC_LABELS["total_ms"] if "total_ms" in present.values() else next(iter(present))
    left, right = st.columns([5, 1], vertical_alignment="bottom")
    address.begin_anew("latency", present)
    latency = left.segmented_control(
        "Latency", list(present), default=default, required=True, key="latency", bind="query-params", wrap=True
    )
    log = right.toggle("Log scale", key="log", bind="query-params")
    metric, names = present[latency or default], list(found.names.values())
    medians = overlay.medians_by_setting(runs, found.names)
    knob = runs[0].experiment.axis if isinstance(runs[0], Result) else "Setting"
    file = f"runs_{metric.removesuffix('_ms')}"
    source = several_sources(
        runs,
        f"{METRIC_LABELS[metric]} of runs side by side.",
        "Points: medians, or ratios of medians to those of A; bars: their 95 % intervals.",
        found.names,
    )
    drawn = charts.medians_over(medians, metric, names, log, knob)
    figure_view.draw(drawn, f"{file}_medians", "runs-medians", source=source)
    drawn = charts.ratios_over(overlay.ratios_by_setting(found, runs[0]), metric, names, margin, knob)
    figure_view.draw(drawn, f"{file}_ratios", "runs-ratios", source=source)
    st.caption(
        "Points are medians and ratios of medians by setting, bars their 95 % intervals, where there are samples "
        f"enough. The dashed line is A itself, and within the band of ±{100 * margin:g} % a difference does not count."
    )


def _tables(found: Comparison, margin: float) -> None:
    """Ratios over all settings with verdicts, and setting by setting."""
    others = list(found.runs.values())
    first = ["run"] if len(others) > 1 else []
    tables.figures(display_comparison(found.table(), first), "run", "latency", "verdict")
    st.caption(
        "Ratio: median over the reference's, over all matched settings their geometric mean, with its 95 % interval. "
        f"It needs {SMALLEST_FOR_RATIO} samples of each; with fewer, the mean needs {SMALLEST_FOR_POOLED_RATIO} "
        "settings. It says how well these runs are told apart, and where it is known how far processes differ, other "
        "processes too; not how much a repeat on another day would differ. "
        f"Verdict: *same* where the whole interval lies within ±{100 * margin:g} %, *faster* or *slower* where it lies "
        "on one side of 1, else *undecided*."
        + _unmatched_words(sum(each.unmatched for each in others), sum(each.ambiguous for each in others))
    )
    with st.expander("Setting by setting"):
        table = display_comparison(found.table("settings"), [*first, "title"])
        tables.figures(table.rename(columns={"title": "setting"}), "run", "setting", "latency", "verdict")
    if not (energy := found.table("energy")).empty:
        with st.expander("Energy, setting by setting"):
            tables.figures(display_energy_comparison(energy, first), "run", "setting", "of")
            st.caption("The ratio's range is what the steps of both meters leave open, not how a repeat would differ.")


def _unmatched_words(unmatched: int, ambiguous: int) -> str:
    """How many settings are in no ratio, and why."""
    text = f" {counted(unmatched, 'setting')} without a counterpart." if unmatched else ""
    if ambiguous:
        text += f" Of these {ambiguous} fit several settings of the other run, which says too little of its own."
    return text


def _short_name(run: dict) -> str:
    """How a comparison calls a run: its name or engine, and when it was measured."""
    called = run["name"] if isinstance(run["name"], str) else run["engine"] or run["state"]
    return f"{called}, {pd.Timestamp(run['created_at']).strftime('%d %b %H:%M:%S')}"
