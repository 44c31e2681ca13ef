"""A Motivation run on its page: its charts, what pictures cost, what was skipped, and its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from pages.parts import figure_view, run_parts
from pages.parts.state import service
from profcore import charts
from profcore.comparisons.flops_latency import correlations, display_correlations, pool_alike
from profcore.experiments.motivation import FLOPS_SOURCES, MOTIVATION, Motivation
from profcore.results.base import tell_apart
from profcore.results.pictures import distribution_line, load_picture_result
from profcore.results.tables import display_points
from profcore.service.words import environment_line
from profcore.spec.stages import TTFT_STAGES, Stage
from profcore.stats import SMALLEST_FOR_CORRELATION, SMALLEST_FOR_MEDIAN

if TYPE_CHECKING:
    from profcore.results.pictures import PictureResult

_TTFT = (*(stage.column for stage in TTFT_STAGES), "ttft_ms")
_MOST_LISTED = 10_000


def show(experiment: Motivation) -> None:
    """Draw the chosen run of an experiment, or the latest."""
    if experiment.name == "flops_vs_latency":
        _show_flops()
        return
    run_id = run_parts.pick(experiment.name)
    result = load_picture_result(service().store, run_id) if run_id else None
    if result is None or run_id is None:
        return
    if not result.state.ended:
        st.fragment(run_every=run_parts.LIVE_S)(_follow)(run_id)
        return
    _draw(result)
    run_parts.downloads(result)
    if run_parts.is_latest():
        run_parts.watch(experiment.name, run_id)


def _follow(run_id: str) -> None:
    result = load_picture_result(service().store, run_id)
    if result is None or result.state.ended:
        st.rerun()
    else:
        _draw(result)


def _draw(result: PictureResult) -> None:
    st.caption(environment_line(result.run["environment"], result.state))
    for note in result.notes:
        st.caption(f":material/info: {note}")
    run_parts.progress(result)
    if not result.points.empty:
        _charts(result)
        for caution in result.cautions:
            st.caption(f":material/warning: {caution.text}")
    elif not result.state.ended:
        st.caption("The first point appears with the first sample.")
    _skipped(result)
    _tables(result)


def _charts(result: PictureResult) -> None:
    name, points = result.experiment.name, result.points
    file = result.experiment.file.removesuffix(".json")
    if name == "latency_distribution":
        _distribution(result, file)
    elif name == "component_profiling":
        left, right = st.columns(2)
        with left:
            if result.parameters:
                figure_view.draw(charts.parameter_bars(result.parameters), f"{file}_parameters", "parameters")
                total, active = (sum(getattr(each, key) for each in result.parameters) for key in ("total", "active"))
                st.caption(f"{total / 1e9:,.2f} billion parameters, of which one token uses {active / 1e9:,.2f}.")
            else:
                st.info("This file says nothing of the model, so its parameters are not known.")
        with right:
            figure_view.draw(charts.component_bars(points), f"{file}_latency", "components")
            st.caption(
                "Data processing is the host's: crops, their resizing and the tokens, before the clock of an inference "
                "starts. Reading the picture from its file is not in it."
            )
    elif name == "vision_tokens_vs_latency":
        figure_view.draw(charts.over_tokens(points, "num_vision_tokens", _TTFT), file, "tokens")
        st.caption(
            "A point is one picture at one grid; lines join the medians of the pictures with equal tokens, with their "
            f"95 % interval from {SMALLEST_FOR_MEDIAN} pictures on."
        )
    elif name == "language_tokens_vs_latency":
        log = st.toggle("Log scale", value=True, key="log-pictures")
        metrics = [Stage.LLM_DECODE.column, "total_ms"]
        figure_view.draw(charts.over_tokens(points, "num_output_tokens", metrics, log), file, "tokens")
        ended = "Answers end at the end-of-text token" if result.stops_at_eos else "Answers do not stop at end of text"
        st.caption(f"{ended}. A point is one picture; lines join the medians.")
    else:
        _flops(points, file)


def _distribution(result: PictureResult, file: str) -> None:
    metrics = {"Whole answer": "total_ms", "Time to first token": "ttft_ms", "Data processing": "processing_ms"}
    present = [title for title, metric in metrics.items() if result.samples[metric].notna().any()]
    chosen = st.segmented_control("Latency", present, default=present[0], required=True, key="distribution")
    values = result.samples[metrics[chosen or present[0]]].to_numpy(dtype=float)
    what = f"{chosen or present[0]} (ms)"
    left, right = st.columns(2)
    with left:
        figure_view.draw(charts.histogram(values, what), f"{file}_histogram", "histogram")
    with right:
        figure_view.draw(charts.cumulative(values, what), f"{file}_cdf", "cdf")
    st.markdown(distribution_line(values))
    pictures = result.points["picture"].nunique()
    st.caption(f"{len(result.points):,} questions on {pictures:,} pictures, each tiled by the model's own rule.")


def _show_flops() -> None:
    """FLOPs against latency, derived from runs of experiments 3 and 4, or from a file of it."""
    runs = pd.concat([service().runs(name) for name in (*FLOPS_SOURCES, "flops_vs_latency")], ignore_index=True)
    runs = runs[runs["num_samples"] > 0]
    if runs.empty:
        st.info("Nothing has been measured here yet. Press **Run**, which measures experiments 3 and 4.")
        return
    names = {
        row["id"]: f"{MOTIVATION[row['experiment']].title}: {run_parts.run_name(row)}"
        for row in runs.to_dict("records")
    }
    default = [latest for name in FLOPS_SOURCES if (latest := service().store.latest(name)) in names]
    names = tell_apart(names)
    chosen = st.multiselect("Runs", list(names), default, format_func=lambda id: names[id], key="flops-runs")
    results = [found for run_id in chosen if (found := load_picture_result(service().store, run_id)) is not None]
    if not results:
        st.info("Choose a run above.")
        return
    for line in dict.fromkeys(environment_line(each.run["environment"], each.state) for each in results):
        st.caption(line)
    pools = pool_alike(results, names)
    if len(pools) > 1:
        st.info("These runs were not measured alike, or do not say so: each kind has its own points.")
    for place, pool in enumerate(pools):
        if len(pools) > 1:
            st.markdown(f"**{pool.title}**")
        for difference in pool.differences:
            st.caption(f":material/warning: {difference}.")
        _flops(pool.points, "exp5_flops_vs_latency", f"flops-{place}")
    for result in results:
        for note in result.notes:
            st.caption(f":material/info: {note}")


def _flops(points: pd.DataFrame, file: str, key: str = "flops") -> None:
    figure_view.draw(charts.flops_points(points), file, key)
    found = correlations(points)
    if found.empty:
        st.info("These runs say nothing of FLOPs or of the model's shape.")
        return
    st.dataframe(display_correlations(found), hide_index=True)
    st.caption(
        "FLOPs count 2 per multiply-add, attention included and routed experts only. Correlation with its 95 % "
        f"interval, which needs {SMALLEST_FOR_CORRELATION} pictures and takes them for drawn at random; R² is the "
        "share of the variance that a straight line through FLOPs explains. "
        "The total follows its FLOPs only as far as a FLOP takes as long in every stage: compare the stages' TFLOP/s."
    )


def _skipped(result: PictureResult) -> None:
    if result.skipped.empty:
        return
    number = len(result.skipped)
    with st.expander(f"{number} {'was' if number == 1 else 'were'} skipped", icon=":material/block:"):
        st.dataframe(result.skipped, hide_index=True)


def _tables(result: PictureResult) -> None:
    pictures, environment = st.tabs(["Pictures", "Settings and environment"])
    with pictures:
        if result.points.empty:
            st.caption("No samples.")
        else:
            st.dataframe(display_points(result).head(_MOST_LISTED), hide_index=True)
            if len(result.points) > _MOST_LISTED:
                st.caption(f"The first {_MOST_LISTED:,} of {len(result.points):,}; downloads have all.")
    with environment:
        run_parts.environment(result)
