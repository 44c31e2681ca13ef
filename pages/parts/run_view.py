"""A sweep on a knob page: its charts, tables and downloads; while it is under way, drawn anew as it grows."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import streamlit as st

from pages.parts import (
    address,
    again,
    baseline,
    between_view,
    cards_view,
    end_to_end_view,
    energy_view,
    figure_view,
    flags_view,
    head_start,
    named_baselines,
    roofline_view,
    run_drawing,
    run_parts,
    run_tables,
    shards_view,
    why_button,
)
from pages.parts.state import fragment, service
from pages.parts.text import plain
from profcore import charts
from profcore.charts.views import END_TO_END_VIEW, ENERGY, ORDER, ROOFLINE, sweep_views, why_empty
from profcore.export import run_figures
from profcore.export.captions import of_figure
from profcore.formats import zeros_note
from profcore.service.words import environment_line
from profcore.spec.records import Ceilings
from profcore.spec.text import with_article

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pages.parts.run_drawing import Drawing
    from profcore.charts.views import View
    from profcore.experiments.knobs import Experiment
    from profcore.results.sweep import Result

# Sessions that draw at the same time take the interpreter from each other, and all from what sends; one after the
# other each is done sooner.
_TURN = threading.Lock()
_FIGURES = {ENERGY: run_figures.ENERGY, ORDER: run_figures.ORDER}
"""The views that are drawn as a stack, and what their figures are called."""


def show(
    experiment: Experiment,
    explained: Mapping[str, Callable[[Result], None]] | None = None,
    below: Callable[[Result], None] | None = None,
) -> None:
    """Draw the chosen run, or the latest.

    Args:
        experiment: Whose page it is.
        explained: What is said under the charts of a view, by its name, instead of what is said of floors.
        below: What stands below a run that has ended.
    """
    run_id = run_parts.pick(experiment.name)
    if run_id is None:
        return
    views = sweep_views(experiment.knob)
    address.begin_anew("view", views)
    view = st.segmented_control(
        "Chart", list(views), default=next(iter(views)), required=True, key="view", bind="query-params", wrap=True
    )
    name = view or next(iter(views))
    own = {
        ROOFLINE: roofline_view.explain,
        END_TO_END_VIEW: end_to_end_view.explain,
        ENERGY: energy_view.explain,
        ORDER: flags_view.explain_order,
    }
    explain = {**own, **(explained or {})}.get(name)
    result = service().results.sweep(run_id, run_parts.LIVE_S)
    if result is None:
        return
    drawn = baseline.laid_over(views[name], result)
    again.lead(result)
    key = baseline.key(name, experiment.name)
    if not result.state.ended:
        run_parts.begin_to_follow(result)
        fragment(run_every=run_parts.LIVE_S)(_follow)(run_id, key, drawn, explain)
        return
    # What has ended is drawn once: looking again and again would take time from a run that is being measured.
    _draw(run_drawing.ended(result, drawn, key, baseline.run_ids(experiment.name)), explain, clickable=True)
    run_parts.downloads(result)
    if below:
        below(result)
    if run_parts.is_latest():
        run_parts.watch(experiment.name, run_id)


def _follow(run_id: str, name: str, view: View, explain: Callable[[Result], None] | None) -> None:
    """The part of the page that follows a run; on its end the whole page is drawn once more."""
    drawing = run_drawing.followed(run_id, view, name)
    if drawing is None or drawing.result.state.ended:
        st.rerun()
    else:
        with _TURN:
            _draw_bars(drawing, explain)
        if drawing.charts:
            # In nobody else's turn.
            head_start.bar_sent(run_id)
        with _TURN:
            _draw_rest(drawing)


def _draw(drawing: Drawing, explain: Callable[[Result], None] | None = None, clickable: bool = False) -> None:
    _draw_bars(drawing, explain, clickable)
    _draw_rest(drawing)


def _draw_bars(drawing: Drawing, explain: Callable[[Result], None] | None = None, clickable: bool = False) -> None:
    """How far a run is, its charts, and what is said of those."""
    result = drawing.result
    if note := zeros_note(int(result.run["details"].get("zeros", 0))):
        st.caption(f":material/info: {plain(note)}")
    run_parts.progress(result)
    if not result.summary.empty:
        _charts(drawing, result.run["id"] if clickable and result.run["spec"] else None)
        if explain:
            explain(result)
        elif result.summary["floor_ms"].notna().any():
            clicks = clickable and any(map(charts.is_clickable, drawing.charts))
            st.caption(plain(_floor_line(result)) + (" Click a bar to see why." if clicks else ""))
        if clickable and result.run["spec"] and any(map(charts.is_clickable, drawing.charts)):
            why_button.show(result)
        flags_view.show(result)
    elif not result.state.ended:
        st.caption("The first bar appears with the first sample.")


def _draw_rest(drawing: Drawing) -> None:
    """What stands below a run's charts."""
    result = drawing.result
    for caution in result.cautions:
        st.caption(f":material/warning: {plain(caution.text)}")
    _measured_on(result)
    shards_view.show(result)
    if result.state.ended:
        between_view.show(result)
        cards_view.of_run(result)
    if result.settings["failed"].notna().any():
        for reason, failed in result.settings.dropna(subset="failed").groupby("failed", sort=False):
            st.warning(plain(f"{'; '.join(failed['title'])}: {reason}"))
    # By itself where nothing else follows from it: another tab draws no chart again.
    (fragment()(run_tables.show) if result.state.ended else run_tables.show)(drawing)


def _measured_on(result: Result) -> None:
    """What a run was measured on, folded away: the name of the run says the most of it."""
    environment = result.run["environment"]
    name = environment.get("device_name") or "…"
    with st.container(horizontal=True):
        with st.popover(f"Measured on {plain(name)}", icon=":material/memory:", type="tertiary", key="measured-on"):
            st.caption(plain(environment_line(environment, result.state, result.run["environments"])))
        if result.state.ended:
            again.offer(result)
            named_baselines.offer(result)


def _floor_line(result: Result) -> str:
    """What the marks on the bars are."""
    known = Ceilings(**result.ceilings)
    return (
        f"Floor: from the model's FLOPs and bytes at what {with_article(known.device_name)} was "
        f"measured to do ({known.matmul_tflop_s:,.3g} TFLOP/s in {known.dtype}, "
        f"{known.memory_gb_s:,.0f} GB/s)."
        + ("" if result.routing_counted else " Prefill's assumes an even router: this run did not count experts.")
    )


def _charts(drawing: Drawing, explained: str | None) -> None:
    """Draw charts side by side; where a run is given, a click on one of its bars leads to why it is so long."""
    drawn, result = drawing.charts, drawing.result
    source = baseline.noted(drawing.source, result)
    if not drawn:
        chosen = sweep_views(result.experiment.knob)[st.session_state["view"]]
        st.info(f"Nothing of this run stands here: {plain(why_empty(chosen))}.")
        return
    view = st.session_state["view"]
    source = of_figure(source, view or "")
    if isinstance(drawn, charts.Stack):
        figure_view.draw_stack(drawn, f"{result.experiment.name}_{_FIGURES[view]}", "chart", source, drawing.specs)
        return
    for place, (column, chart) in enumerate(zip(st.columns(len(drawn)), drawn, strict=True)):
        name = f"{result.experiment.name}_{view or 'chart'}_{place + 1}".lower().replace(" ", "_")
        with column:
            spec = drawing.specs[place]
            if explained is None or not charts.is_clickable(chart):
                figure_view.draw(chart, name, f"chart-{place}", source=source, spec=spec)
                continue
            # The run is in the key, so that no click on another run's chart is taken for one on this.
            key = f"chart-{place}-{explained}"
            drawn_chart = figure_view.draw(chart, name, key, charts.CLICK, source=source, spec=spec)
            clicked = drawn_chart.get(charts.CLICK) or []
        if clicked:
            query = address.with_all(run=explained, setting=str(clicked[0]["setting"]))
            st.switch_page("pages/why.py", query_params=query)
