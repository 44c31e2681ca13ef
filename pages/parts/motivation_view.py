"""A Motivation run on its page: its charts, what pictures cost, what was skipped, and its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from pages.parts import (
    address,
    cards_view,
    figure_view,
    flags_view,
    gallery_view,
    named_baselines,
    run_parts,
    shards_view,
    tables,
)
from pages.parts.state import fragment, service
from pages.parts.text import plain
from profcore import charts
from profcore.comparisons.flops_latency import correlations, display_correlations, pool_alike
from profcore.experiments.motivation import FLOPS_SOURCES, MOTIVATION, Motivation
from profcore.export.captions import of_figure, provenance, several_sources
from profcore.export.run_figures import ORDER
from profcore.results.base import tell_apart
from profcore.results.pictures import distribution_line
from profcore.results.reading import reading_line
from profcore.results.tables import display_points
from profcore.service.words import environment_line
from profcore.spec.stages import TTFT_STAGES, Stage
from profcore.spec.text import counted
from profcore.stats import (
    END_TO_END,
    METRIC_LABELS,
    PREPROCESSING,
    READING,
    SMALLEST_FOR_CORRELATION,
    SMALLEST_FOR_MEDIAN,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    import altair as alt

    from profcore.export.captions import Source
    from profcore.results.pictures import PictureResult

_TTFT = (*(stage.column for stage in TTFT_STAGES), "ttft_ms")
_MOST_LISTED = 10_000


def show(experiment: Motivation) -> None:
    """Draw the chosen run of an experiment, or the latest."""
    if experiment.name == "flops_vs_latency":
        _show_flops()
        return
    run_id = run_parts.pick(experiment.name)
    result = service().results.pictures(run_id, run_parts.LIVE_S) if run_id else None
    if result is None or run_id is None:
        return
    if not result.state.ended:
        run_parts.begin_to_follow(result)
        fragment(run_every=run_parts.LIVE_S)(_follow)(run_id)
        return
    _draw(result)
    named_baselines.offer(result)
    run_parts.downloads(result)
    if run_parts.is_latest():
        run_parts.watch(experiment.name, run_id)


def _follow(run_id: str) -> None:
    results = service().results
    result = run_parts.followed(run_id, ("pictures",), lambda: results.pictures(run_id), lambda found: found)
    if result is None or result.state.ended:
        st.rerun()
    else:
        _draw(result)


def _draw(result: PictureResult) -> None:
    st.caption(plain(environment_line(result.run["environment"], result.state, result.run["environments"])))
    for note in result.notes:
        st.caption(f":material/info: {plain(note)}")
    run_parts.progress(result)
    shards_view.show(result)
    if not result.points.empty:
        _charts(result)
        flags_view.show(result)
    elif not result.state.ended:
        st.caption("The first point appears with the first sample.")
    for caution in result.cautions:
        st.caption(f":material/warning: {plain(caution.text)}")
    _skipped(result)
    if result.state.ended:
        cards_view.of_run(result)
    # By itself where nothing else follows from it: another tab draws no chart again.
    (fragment()(_tables) if result.state.ended else _tables)(result)


def _charts(result: PictureResult) -> None:
    name, points = result.experiment.name, result.points
    file = result.experiment.file.removesuffix(".json")
    if name == "latency_distribution":
        _distribution(result, file)
    elif name == "component_profiling":
        left, right = st.columns(2)
        with left:
            if result.parameters:
                _figure(result, "parameters", f"{file}_parameters", lambda: charts.parameter_bars(result.parameters))
                total, active = (sum(getattr(each, key) for each in result.parameters) for key in ("total", "active"))
                st.caption(f"{total / 1e9:,.2f} billion parameters, of which one token uses {active / 1e9:,.2f}.")
            else:
                st.info("This file says nothing of the model, so its parameters are not known.")
        with right:
            _figure(result, "components", f"{file}_latency", lambda: charts.component_bars(points))
            st.caption(
                "Host preprocessing: crops, their resizing and the tokens, before the clock of an inference starts. "
                f"{plain(reading_line(result.samples)) or 'Reading the picture from its file is not in it.'}"
            )
    elif name == "vision_tokens_vs_latency":
        _figure(result, "tokens", file, lambda: charts.over_tokens(points, "num_vision_tokens", _TTFT))
        st.caption(
            "A point is one picture at one grid; lines join the medians of the pictures with equal tokens, with their "
            f"95 % interval from {SMALLEST_FOR_MEDIAN} pictures on."
        )
    elif name == "language_tokens_vs_latency":
        log = st.toggle("Log scale", value=True, key="log-pictures", bind="query-params")
        metrics = [Stage.LLM_DECODE.column, "total_ms"]
        _figure(result, "tokens", file, lambda: charts.over_tokens(points, "num_output_tokens", metrics, log), log)
        ended = "Answers end at the end-of-text token" if result.stops_at_eos else "Answers do not stop at end of text"
        st.caption(f"{ended}. A point is one picture; lines join the medians.")
    else:
        _flops(points, [result.run["id"]], file, provenance(result))


def _figure(
    result: PictureResult, key: str, name: str, make: Callable[[], alt.LayerChart], variant: Hashable = None
) -> None:
    """Draw a chart of a run, as it was drawn before where nothing of the run has changed."""
    chart, spec = figure_view.drawn_once((key, variant), [result.run["id"]], make)
    figure_view.draw(chart, name, key, source=provenance(result), spec=spec)


def _distribution(result: PictureResult, file: str) -> None:
    metrics = {"Whole answer": "total_ms", "Time to first token": "ttft_ms"}
    metrics |= {METRIC_LABELS[metric]: metric for metric in (PREPROCESSING, END_TO_END, READING)}
    present = [
        title for title, metric in metrics.items() if metric in result.samples and result.samples[metric].notna().any()
    ]
    chosen = st.segmented_control(
        "Latency", present, default=present[0], required=True, key="distribution", bind="query-params", wrap=True
    )
    values = result.samples[metrics[chosen or present[0]]].to_numpy(dtype=float)
    what = f"{chosen or present[0]} (ms)"
    left, right = st.columns(2)
    with left:
        _figure(result, "histogram", f"{file}_histogram", lambda: charts.histogram(values, what), what)
    with right:
        _figure(result, "cdf", f"{file}_cdf", lambda: charts.cumulative(values, what), what)
    st.markdown(distribution_line(values))
    questions, pictures = len(result.points), result.points["picture"].nunique()
    st.caption(
        f"{counted(questions, 'question')} on {counted(pictures, 'picture')}, each tiled by the model's own rule."
    )


def _show_flops() -> None:
    """FLOPs against latency, derived from runs of experiments 3 and 4, or from a file of it."""
    runs = pd.concat([service().runs(name) for name in (*FLOPS_SOURCES, "flops_vs_latency")], ignore_index=True)
    runs = run_parts.listed(runs[runs["num_samples"] > 0], address.several("runs"))
    if runs.empty:
        st.info("Nothing has been measured here yet. Press **Run**, which measures experiments 3 and 4.")
        return
    names = {
        row["id"]: f"{MOTIVATION[row['experiment']].title}: {run_parts.run_name(row)}"
        for row in runs.to_dict("records")
    }
    default = [latest for name in FLOPS_SOURCES if (latest := service().latest(name)) in names]
    names = tell_apart(names)
    address.say_unknown("runs", names, "others are shown")
    given = [run_id for run_id in address.several("runs") if run_id in names]
    address.settle("runs", "flops-runs", given or default)
    choosing, linking = st.columns([5, 1], vertical_alignment="bottom")
    chosen = choosing.multiselect("Runs", list(names), format_func=lambda id: names[id], key="flops-runs")
    address.keep(runs=None if chosen == default else address.joined(chosen))
    with linking:
        address.offer_link(runs=address.joined(chosen))
    results = [found for run_id in chosen if (found := service().results.pictures(run_id)) is not None]
    if not results:
        st.info("Choose a run above.")
        return
    for line in dict.fromkeys(
        environment_line(each.run["environment"], each.state, each.run["environments"]) for each in results
    ):
        st.caption(plain(line))
    ids = [each.run["id"] for each in results]
    pools = service().results.follows(("pools", tuple(names.items())), ids, lambda: pool_alike(results, names))
    if len(pools) > 1:
        st.info("These runs were not measured alike, or do not say so: each kind has its own points.")
    for place, pool in enumerate(pools):
        if len(pools) > 1:
            st.markdown(f"**{plain(pool.title)}**")
        for difference in pool.differences:
            st.caption(f":material/warning: {plain(difference)}.")
        drawn = [each for each in results if each.run["id"] in pool.runs]
        source = several_sources(drawn, "FLOPs against latency.", "Points: medians of a picture's samples.", names)
        _flops(pool.points, pool.runs, "exp5_flops_vs_latency", source, f"flops-{place}")
    for result in results:
        for note in result.notes:
            st.caption(f":material/info: {plain(note)}")


def _flops(points: pd.DataFrame, run_ids: Sequence[str], file: str, source: Source, key: str = "flops") -> None:
    chart, spec = figure_view.drawn_once(key, run_ids, lambda: charts.flops_points(points))
    figure_view.draw(chart, file, key, source=source, spec=spec)
    found = service().results.follows("correlations", run_ids, lambda: correlations(points))
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
    """Draw the tab that is open."""
    gallery, pictures, order, environment = st.tabs(
        ["Pictures", "What each cost", "Samples in order", "Settings and environment"],
        key="picture-tables",
        on_change="rerun",
    )
    for tab, draw in ((gallery, gallery_view.show), (pictures, _costs), (order, _order), (environment, _environment)):
        if tab.open:
            with tab:
                draw(result)


def _costs(result: PictureResult) -> None:
    """A row for each picture at each of its settings."""
    if result.points.empty:
        st.caption("No samples.")
        return
    tables.figures(display_points(result).head(_MOST_LISTED), "picture and setting")
    if len(result.points) > _MOST_LISTED:
        st.caption(f"The first {_MOST_LISTED:,} of {len(result.points):,}; downloads have all.")


def _order(result: PictureResult) -> None:
    """The samples as they came, with what the card said of each."""
    if result.samples.empty:
        return
    stack = charts.in_order(result.samples, result.settings)
    figure_view.draw_stack(stack, ORDER, "order", of_figure(provenance(result), ORDER))
    flags_view.explain_order(result)


def _environment(result: PictureResult) -> None:
    run_parts.environment(result)
