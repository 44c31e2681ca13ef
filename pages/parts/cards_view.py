"""The parts of the page that sets cards side by side, and what a run's page says of the cards that share it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from pages.parts import figure_view, group_choice, leads, tables
from pages.parts.state import service
from pages.parts.text import plain
from profcore import charts
from profcore.comparisons.cards import find_card_groups, load_cards, shared_cards
from profcore.comparisons.runs import display_comparison
from profcore.export.captions import several_sources
from profcore.spec.environments import set_aside_words
from profcore.spec.text import counted
from profcore.stats import METRIC_LABELS, METRICS

if TYPE_CHECKING:
    from profcore.comparisons.cards import CardsSideBySide, SharedCards
    from profcore.experiments.knobs import Experiment
    from profcore.results.base import MeasuredRun

_A_ROW = 2


def show(experiment: Experiment) -> None:
    """Draw runs that were asked for alike on several kinds of cards, and the cards of those that are shared."""
    store = service().store
    groups = service().results.among("cards", [experiment.name], lambda: find_card_groups(store, experiment.name))
    if not groups:
        st.info("Nothing has been measured here yet: choose a knob in the menu and press **Run** there.")
        return
    group = group_choice.choose("Measured as", groups)
    ids = list(group.runs.values())
    found = service().results.follows("cards", ids, lambda: load_cards(store, group, service().spreads()))
    if found is None:
        st.info("Nothing is measured of these runs yet.")
        return
    if found.found is None:
        (card,) = found.names.values()
        st.caption(
            f":material/info: Only {plain(card)} was measured like this; another card would stand beside it. Measure "
            "the same there, or import its files on the page **Runs**."
        )
        file, query = leads.lead(experiment.name, next(iter(found.names)))
        st.page_link(file, label="Open the run", icon=":material/open_in_full:", query_params=query)
    else:
        _side_by_side(experiment, found)
    for result in found.results:
        for text in set_aside_words(result.run["environments"]):
            st.caption(f":material/warning: {plain(found.names[result.run['id']])}: {plain(text)}")
    for result in found.results:
        of_run(result, found.names[result.run["id"]])


def _side_by_side(experiment: Experiment, found: CardsSideBySide) -> None:
    """Draw medians on each card by stage, and how many times the first card's they are."""
    assert found.found
    log = st.toggle("Log scale", value=True, key="log", bind="query-params")
    metrics = [metric for metric in METRICS if metric in set(found.medians["metric"]) and metric != "other_ms"]
    names, ids = list(found.names.values()), list(found.names)
    source = several_sources(
        found.results,
        f"{experiment.title}: medians on each card.",
        "Points: medians; bars: their 95 % intervals.",
        found.names,
    )
    for start in range(0, len(metrics), _A_ROW):
        for column, metric in zip(st.columns(_A_ROW), metrics[start : start + _A_ROW], strict=False):
            with column:
                name = f"cards_{experiment.name}_{metric.removesuffix('_ms')}"
                chart, spec = figure_view.drawn_once(
                    ("cards", metric, log),
                    ids,
                    partial(charts.medians_over, found.medians, metric, names, log, experiment.axis),
                )
                st.markdown(f"**{METRIC_LABELS[metric]}**")
                figure_view.draw(chart, name, f"cards-{metric}", source=source, spec=spec)
    for difference in found.differences:
        st.caption(f":material/warning: The runs differ in more than the card. {plain(difference)}.")
    st.subheader(f"Against {plain(names[0])}")
    first = ["run"] if len(found.found.runs) > 1 else []
    table = display_comparison(found.found.table(), first).rename(columns={"run": "card"})
    tables.figures(table, "card", "latency", "verdict")
    st.caption(f"Ratio: how many times the latency on {plain(names[0])}, over the settings that both have.")
    for text in found.found.processes:
        st.caption(f":material/hub: {plain(text)}")


def of_run(result: MeasuredRun, name: str = "") -> None:
    """Draw the cards that share a run; nothing of a run that one card measured.

    Args:
        result: The run.
        name: What it is called where a page has several.
    """
    run_id = result.run["id"]
    if len(result.run["environments"]) < 2:
        return
    found = service().results.follows("shared", [run_id], lambda: shared_cards(service().store, run_id))
    if found is not None:
        _shared(found, name)


def _shared(found: SharedCards, name: str) -> None:
    parts, called = len(found.parts), f"{name}: " if name else ""
    number = counted(found.cards, "card") + (f" in {counted(parts, 'part')}" if parts > found.cards else "")
    some = f", {found.pooled} of them in the figures" if found.pooled < parts else ""
    what = "cards" if "cards" in found.spread else "parts"
    with st.expander(plain(f"{called}Measured on {number}{some}"), icon=":material/developer_board:"):
        tables.figures(found.parts, "card", "shard", "in the figures")
        st.caption(
            "By how much a part differs from the others that are in the figures, at the settings that both measured, "
            "with an interval that holds for all parts and latencies together. One that differs by more than 1 % and "
            "more than that interval is in no figure."
        )
        if found.spread.empty:
            st.caption(f"How far {plain(what)} differ cannot be told: two with 6 samples of one setting are needed.")
            return
        tables.figures(found.spread, "latency")
        st.caption(
            f"Standard deviations in per cent of the latency: between {plain(what)}, of one's median from another's, "
            "with its 95 % interval, and of one sample within. The last column says which share of a sample's variance "
            f"lies between {plain(what)}. Each part has a process of its own: what processes differ by is in it."
        )
