"""A knob's sweep beside real pictures: choice of runs, charts, slopes and the difference in words."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from pages.parts import address, figure_view, tables
from pages.parts.run_parts import listed, run_name
from pages.parts.state import service
from pages.parts.text import plain
from profcore import charts
from profcore.comparisons.alike_pictures import alike_pictures
from profcore.comparisons.engines import compared_metrics
from profcore.comparisons.findings import held_back
from profcore.comparisons.sweep_and_pictures import OFFERED, compare_with_pictures, display_slopes
from profcore.experiments.motivation import MOTIVATION
from profcore.export.captions import several_sources
from profcore.results.base import tell_apart
from profcore.spec.stages import Knob
from profcore.spec.text import counted
from profcore.stats import METRIC_LABELS, SMALLEST_FOR_POINTS_SLOPE, SMALLEST_FOR_SLOPE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.comparisons.sweep_and_pictures import Beside
    from profcore.experiments.knobs import Experiment
    from profcore.export.captions import Source
    from profcore.results.sweep import Result

_MOST_RUNS = 6
_CHARTED = {Knob.VISION_TOKENS: "ttft_ms", Knob.OUTPUT_TOKENS: "llm_decode_ms"}


def section(result: Result) -> None:
    """A knob page's section: the run shown beside Motivation runs."""
    st.subheader("Beside real pictures")
    show(result, whole=False)


def show(result: Result, whole: bool) -> None:
    """Draw the comparison of a sweep with Motivation runs that are chosen here.

    Args:
        result: The sweep.
        whole: Whether every latency is drawn, or the one that the knob is about.
    """
    experiment = result.experiment
    rows = _offered(experiment)
    if not rows:
        st.info(
            "No real pictures were measured yet: do so on the page **Real pictures**, or take in a Motivation file."
        )
        return
    if result.samples.empty:
        st.info("This run came as a summary: without samples it cannot be compared.")
        return
    chosen = _choose(result, rows)
    found = [each for run_id in chosen if (each := service().results.pictures(run_id)) is not None]
    if not found:
        st.info("Choose a run of real pictures above.")
        return
    log = experiment.knob is Knob.OUTPUT_TOKENS and st.toggle(
        "Log scale", value=True, key="log-beside", bind="query-params"
    )
    metrics = compared_metrics(experiment) if whole else (_choose_metric(experiment),)
    names = {each.run["id"]: _series_name(rows[each.run["id"]]) for each in found}
    names[result.run["id"]] = f"sweep, {pd.Timestamp(result.run['created_at']).strftime('%d %b %H:%M:%S')}"
    ids = [each.run["id"] for each in (result, *found)]
    beside = service().results.follows(
        ("beside", tuple(metrics), tuple(names.items())),
        ids,
        lambda: compare_with_pictures(result, found, metrics, names),
    )
    for run_id, refused in beside.refused.items():
        for sentence in refused:
            st.warning(f"{plain(beside.names[run_id])}: {plain(sentence)}", icon=":material/block:")
    _tell_differences(beside.differences)
    source = several_sources(
        [result, *found],
        "A sweep beside real pictures.",
        "Diamonds: medians with their 95 % intervals; circles: single pictures; lines: least squares.",
        beside.names,
    )
    _draw_charts(beside, experiment, metrics, log, source)
    for run_id, sentences in beside.sentences.items():
        if sentences:
            st.markdown(
                "\n".join((f"**{plain(beside.names[run_id])}**", *(f"- {plain(sentence)}" for sentence in sentences)))
            )
    for measured in (result, *found):
        if words := held_back(measured.samples):
            st.caption(f":material/warning: {plain(beside.names[measured.run['id']])}: {plain(words)}.")
    for each in found:
        for note in each.notes:
            st.caption(f":material/info: {plain(beside.names[each.run['id']])}: {plain(note)}")
    tables.figures(display_slopes(beside), "latency", "run", "unit")
    st.caption(
        "Diamonds are medians with their 95 % interval, circles single pictures, lines least squares. The interval of "
        f"a slope needs {SMALLEST_FOR_SLOPE} samples at each setting of the sweep, or "
        f"{SMALLEST_FOR_POINTS_SLOPE} pictures, and takes pictures for drawn at random. *Over the sweep* is the "
        "median of each picture's latency over the sweep's at equal tokens."
    )


def _offered(experiment: Experiment) -> dict[str, dict]:
    """The Motivation runs that can stand beside a sweep by their ids: the twin's first, then as they are listed."""
    order = OFFERED[experiment.knob]
    runs = listed(service().runs(), address.several("pictures"))
    runs = runs[runs["experiment"].isin(order) & (runs["num_samples"] > 0)]
    runs = runs.sort_values("experiment", key=lambda names: names.map(order.index), kind="stable")
    return {row["id"]: row for row in runs.to_dict("records")}


def _choose_metric(experiment: Experiment) -> str:
    """The one latency that is drawn."""
    named = {METRIC_LABELS[metric]: metric for metric in compared_metrics(experiment)}
    default = METRIC_LABELS[_CHARTED[experiment.knob]]
    address.begin_anew("beside-metric", named)
    picked = st.segmented_control(
        "Latency", list(named), default=default, required=True, key="beside-metric", bind="query-params", wrap=True
    )
    return named[picked or default]


def _draw_charts(beside: Beside, experiment: Experiment, metrics: Sequence[str], log: bool, source: Source) -> None:
    """Each latency's chart, two in a row."""
    for start in range(0, len(metrics), 2):
        row = metrics[start : start + 2]
        for column, metric in zip(st.columns(len(row)), row, strict=True):
            with column:
                name = f"{experiment.name}_beside_pictures_{metric.removesuffix('_ms')}"
                chart, spec = figure_view.drawn_once(
                    ("beside", metric, log, tuple(beside.names.items())),
                    list(beside.names),
                    partial(charts.beside, beside, experiment, metric, log),
                )
                figure_view.draw(chart, name, f"beside-{metric}", source=source, spec=spec)
    if beside.left_out:
        st.caption(f"{counted(beside.left_out, 'point')} not drawn; slopes and ratios rest on all.")


def _tell_differences(differences: list[str]) -> None:
    """Say what else than the pictures differs, or cannot be told."""
    if differences:
        lines = ("The runs differ in more than their pictures, or it cannot be told:", *differences)
        st.caption("\n".join((f":material/warning: {lines[0]}", "", *(f"- {plain(line)}" for line in lines[1:]))))


def _choose(result: Result, rows: dict[str, dict]) -> list[str]:
    """The Motivation runs to stand beside a sweep; those measured alike unless others are chosen."""
    names = {run_id: f"{MOTIVATION[row['experiment']].title}: {run_name(row)}" for run_id, row in rows.items()}
    names = tell_apart(names)
    store, offered = service().store, OFFERED[result.experiment.knob]
    alike = service().results.among("alike", offered, lambda: alike_pictures(store, result), [result.run["id"]])
    default = [run_id for run_id in alike if run_id in rows][:2]
    # The key holds the run, since what is alike depends on it.
    key = f"beside-{result.run['id']}"
    address.say_unknown("pictures", names, "others are shown")
    given = [run_id for run_id in address.several("pictures") if run_id in names]
    address.settle("pictures", key, given[:_MOST_RUNS] or default)
    chosen = st.multiselect(
        "Runs of real pictures",
        list(names),
        format_func=lambda id: names[id],
        key=key,
        max_selections=_MOST_RUNS,
        placeholder="None was measured alike: choose one",
    )
    address.keep(pictures=None if chosen == default else address.joined(chosen))
    address.add_to_link(pictures=address.joined(chosen))
    return chosen


def _series_name(row: dict) -> str:
    """How a chart calls a Motivation run: its experiment, and its name or when it was measured."""
    title = MOTIVATION[row["experiment"]].title
    if isinstance(row["name"], str):
        return f"{title}, {row['name']}"
    return f"{title}, {pd.Timestamp(row['created_at']).strftime('%d %b %H:%M:%S')}"
