"""A sweep on a knob page: its charts, tables and downloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.parts import figure_view, run_parts
from pages.parts.state import service
from profcore import charts
from profcore.formats import zeros_note
from profcore.results.sweep import Result, load_result
from profcore.results.tables import display_samples, display_summary
from profcore.service.words import environment_line
from profcore.spec.records import Ceilings
from profcore.spec.stages import Stage
from profcore.stats import SMALLEST_FOR_MEDIAN, SMALLEST_FOR_P95, SMALLEST_FOR_P99

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import altair as alt

    from profcore.experiments.knobs import Experiment

    Draw = Callable[[Result], list[alt.LayerChart]]
    Views = dict[str, Draw]


def show(
    experiment: Experiment,
    views: Views,
    explained: Mapping[str, Callable[[Result], None]] | None = None,
    below: Callable[[Result], None] | None = None,
) -> None:
    """Draw the chosen run, or the latest.

    Args:
        experiment: Whose page it is.
        views: Names of charts, and what draws each from a result; several charts stand side by side.
        explained: What is said under the charts of a view, by its name, instead of what is said of floors.
        below: What stands below a run that has ended.
    """
    run_id = run_parts.pick(experiment.name)
    if run_id is None:
        return
    view = st.segmented_control(
        "Chart", list(views), default=next(iter(views)), required=True, key="view", bind="query-params", wrap=True
    )
    name = view or next(iter(views))
    explain = (explained or {}).get(name)
    result = load_result(service().store, run_id)
    if result is None:
        return
    if not result.state.ended:
        st.fragment(run_every=run_parts.LIVE_S)(_follow)(run_id, views[name], explain)
        return
    # What has ended is drawn once: looking again and again would take time from a run that is being measured.
    _draw(result, views[name], explain, clickable=True)
    run_parts.downloads(result)
    if below:
        below(result)
    if run_parts.is_latest():
        run_parts.watch(experiment.name, run_id)


def prefill_and_decode(experiment: Experiment) -> Views:
    """The charts of a knob that turns the language model: both its stages side by side, all stages, and the steps."""
    return {
        "Prefill and decode": lambda result: [
            charts.panel(result.summary, experiment, Stage.LLM_PREFILL.column),
            charts.panel(result.summary, experiment, Stage.LLM_DECODE.column),
        ],
        "All stages": lambda result: [charts.breakdown(result.summary, experiment, list(Stage), "total_ms")],
        "Decode step by position": decode_steps,
    }


def which_blocks(result: Result) -> list[alt.LayerChart]:
    """The chart of the blocks that each setting runs; none where a file does not say it."""
    masks = result.settings["block_mask"].dropna().tolist()
    return [charts.masks(masks)] if masks else []


def decode_steps(result: Result) -> list[alt.LayerChart]:
    """The chart of decode latency by position; none where the run has no decode steps."""
    steps = service().store.decode_steps(result.run["id"])
    return [] if steps.empty else [charts.decode_steps(steps, result.settings, result.experiment)]


def _follow(run_id: str, draw: Draw, explain: Callable[[Result], None] | None) -> None:
    """The part of the page that follows a run; on its end the whole page is drawn once more."""
    result = load_result(service().store, run_id)
    if result is None or result.state.ended:
        st.rerun()
    else:
        _draw(result, draw, explain)


def _draw(result: Result, draw: Draw, explain: Callable[[Result], None] | None = None, clickable: bool = False) -> None:
    st.caption(environment_line(result.run["environment"], result.state))
    if note := zeros_note(int(result.run["details"].get("zeros", 0))):
        st.caption(f":material/info: {note}")
    run_parts.progress(result)
    if not result.summary.empty:
        _charts(draw(result), result, result.run["id"] if clickable and result.run["spec"] else None)
        if explain:
            explain(result)
        elif result.summary["floor_ms"].notna().any():
            st.caption(_floor_line(result) + (" Click a bar to see why." if clickable else ""))
        for caution in result.cautions:
            st.caption(f":material/warning: {caution.text}")
    elif not result.state.ended:
        st.caption("The first bar appears with the first sample.")
    for reason, failed in result.settings.dropna(subset="failed").groupby("failed", sort=False):
        st.warning(f"{'; '.join(failed['title'])}: {reason}")
    _tables(result)


def _floor_line(result: Result) -> str:
    """What the marks on the bars are."""
    known = Ceilings(**result.ceilings)
    return (
        f"White marks: the physical floor, from the model's FLOPs and bytes at what a {known.device_name} was "
        f"measured to do ({known.matmul_tflop_s:,.3g} TFLOP/s in {known.dtype}, "
        f"{known.memory_gb_s:,.0f} GB/s)."
        + ("" if result.routing_counted else " Prefill's assumes an even router: this run did not count experts.")
    )


def _charts(drawn: list[alt.LayerChart], result: Result, explained: str | None) -> None:
    """Draw charts side by side; where a run is given, a click on one of its bars leads to why it is so long."""
    if not drawn:
        st.info("This run has no samples for this chart.")
        return
    for place, (column, chart) in enumerate(zip(st.columns(len(drawn)), drawn, strict=True)):
        name = f"{result.experiment.name}_{st.session_state['view'] or 'chart'}_{place + 1}".lower().replace(" ", "_")
        with column:
            if explained is None or not charts.is_clickable(chart):
                figure_view.draw(chart, name, f"chart-{place}")
                continue
            # The run is in the key, so that no click on another run's chart is taken for one on this.
            key = f"chart-{place}-{explained}"
            clicked = figure_view.draw(chart, name, key, charts.CLICK).get(charts.CLICK) or []
        if clicked:
            st.switch_page("pages/why.py", query_params={"run": explained, "setting": str(clicked[0]["setting"])})


def _tables(result: Result) -> None:
    summary, samples, environment = st.tabs(["Summary", "Samples", "Settings and environment"])
    with summary:
        if not result.summary.empty:
            st.dataframe(display_summary(result), hide_index=True)
            st.caption(
                f"Milliseconds. The interval is the median's at 95 % confidence and needs {SMALLEST_FOR_MEDIAN} "
                f"samples; P95 needs {SMALLEST_FOR_P95} and P99 needs {SMALLEST_FOR_P99}."
            )
    with samples:
        if result.samples.empty:
            st.caption("No samples.")
        else:
            st.dataframe(display_samples(result), hide_index=True)
    with environment:
        run_parts.environment(result)
