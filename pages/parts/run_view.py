"""A run on a knob page: which one, how far it is, its charts, tables and downloads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import pandas as pd
import streamlit as st

from pages.parts.state import service
from profcore import charts
from profcore.errors import UserError
from profcore.results import Result, display_samples, display_summary
from profcore.service import environment_line
from profcore.spec import Ceilings, Stage, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from profcore.experiments import Experiment

    Views = dict[str, Callable[[Result], list[alt.LayerChart]]]

_LIVE_S = 0.5
_IDLE_S = 2.0
_LATEST = "latest"


def show(experiment: Experiment, views: Views) -> None:
    """Draw the chosen run, or the latest.

    Args:
        experiment: Whose page it is.
        views: Names of charts, and what draws each from a result; several charts stand side by side.
    """
    runs = service().runs(experiment.name)
    if runs.empty:
        st.info("Nothing has been measured here yet. Choose values on the left and press **Run**.")
        _watch(experiment.name, None)
        return
    names = {row["id"]: run_name(row) for row in runs.to_dict("records")}
    latest = service().latest(experiment.name)
    assert latest
    # Not bound to the link by Streamlit, which would write the name, and with it what may change.
    if st.session_state.setdefault("run", st.query_params.get("run", _LATEST)) not in names:
        st.session_state["run"] = _LATEST
    what = "Sample result" if runs.set_index("id").loc[latest, "source"] == "shipped" else "Latest"
    chosen = st.selectbox(
        "Run",
        [_LATEST, *names],
        format_func=lambda id: f"{what}: {names[latest]}" if id == _LATEST else names[id],
        key="run",
    )
    if chosen == _LATEST:
        st.query_params.pop("run", None)
    else:
        st.query_params["run"] = chosen
    run_id = latest if chosen == _LATEST else chosen
    state = State(str(runs.set_index("id").loc[run_id, "state"]))
    view = st.segmented_control(
        "Chart", list(views), default=next(iter(views)), required=True, key="view", bind="query-params"
    )
    draw = views[view or next(iter(views))]
    if not state.ended:
        st.fragment(run_every=_LIVE_S)(_follow)(run_id, draw)
        return
    # What has ended is drawn once: looking again and again would take time from a run that is being measured.
    result = service().result(run_id)
    if result is not None:
        _draw(result, draw, clickable=True)
        _downloads(result)
    if chosen == _LATEST:
        _watch(experiment.name, run_id)


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


def decode_steps(result: Result) -> list[alt.LayerChart]:
    """The chart of decode latency by position; none where the run has no decode steps."""
    steps = service().decode_steps(result.run["id"])
    return [] if steps.empty else [charts.decode_steps(steps, result.settings, result.experiment)]


def _follow(run_id: str, draw: Callable[[Result], list[alt.LayerChart]]) -> None:
    """The part of the page that follows a run; on its end the whole page is drawn once more."""
    result = service().result(run_id)
    if result is None or result.state.ended:
        st.rerun()
    else:
        _draw(result, draw)


def _draw(result: Result, draw: Callable[[Result], list[alt.LayerChart]], clickable: bool = False) -> None:
    st.caption(environment_line(result.run["environment"], result.state))
    _progress(result)
    if not result.summary.empty:
        _charts(draw(result), result.run["id"] if clickable and result.run["spec"] else None)
        if result.summary["floor_ms"].notna().any():
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


def _charts(drawn: list[alt.LayerChart], explained: str | None) -> None:
    """Draw charts side by side; where a run is given, a click on one of its bars leads to why it is so long."""
    if not drawn:
        st.info("This run has no samples for this chart.")
        return
    for place, (column, chart) in enumerate(zip(st.columns(len(drawn)), drawn, strict=True)):
        if explained is None or not charts.is_clickable(chart):
            column.altair_chart(chart, width="stretch", key=f"chart-{place}")
            continue
        # The run is in the key, so that no click on another run's chart is taken for one on this.
        event = column.altair_chart(
            chart, width="stretch", key=f"chart-{place}-{explained}", on_select="rerun", selection_mode=charts.CLICK
        )
        clicked = event.selection.get(charts.CLICK) or []
        if clicked:
            st.switch_page("pages/why.py", query_params={"run": explained, "setting": str(clicked[0]["setting"])})


def _watch(experiment: str, known: str | None) -> None:
    """Look out for a run later than the one shown, whoever starts it."""

    @st.fragment(run_every=_IDLE_S)
    def look() -> None:
        if service().latest(experiment) != known:
            st.rerun()

    look()


def _progress(result: Result) -> None:
    state, reason = result.state, result.run["reason"]
    done, planned = len(result.samples), result.planned
    if state.ended:
        if state is State.FAILED:
            st.error(f"This run failed: {reason}")
        elif state is State.STOPPED:
            st.warning(f"{reason or 'Stopped.'} {done} samples were taken.")
        return
    left, right = st.columns([5, 1], vertical_alignment="center")
    position = service().jobs.position(result.run["id"])
    if state is State.QUEUED:
        text = result.run["phase"] or (f"Queued: {position} before this" if position else "Queued")
    else:
        remaining = result.remaining_s
        about = "" if remaining is None else f" · about {_duration(remaining)} left"
        text = f"{result.run['phase'] or 'Running'} · {done} of {planned} samples{about}"
    left.progress(min(done / planned, 1.0) if planned else 0.0, text)
    right.button("Stop", icon=":material/stop:", key="stop", on_click=_stop, args=(result.run["id"],), width="stretch")


def _stop(run_id: str) -> None:
    try:
        service().stop(run_id)
        st.toast("Stopping after the current step.")
    except UserError as error:
        st.toast(str(error))


def _tables(result: Result) -> None:
    summary, samples, environment = st.tabs(["Summary", "Samples", "Settings and environment"])
    with summary:
        if not result.summary.empty:
            st.dataframe(display_summary(result), hide_index=True)
            st.caption(
                "Milliseconds. The interval is the median's at 95 % confidence; P95 needs 20 samples and P99 needs 100."
            )
    with samples:
        if result.samples.empty:
            st.caption("No samples.")
        else:
            st.dataframe(display_samples(result), hide_index=True)
    with environment:
        run = result.run
        created = pd.Timestamp(run["created_at"]).strftime("%Y-%m-%d %H:%M:%S UTC")
        st.caption(f"Run {run['id']} · asked for {created} · {run['source']}")
        st.json({"spec": run["spec"], "environment": run["environment"]}, expanded=1)


def _downloads(result: Result) -> None:
    """Buttons that make their file when they are pressed."""
    if result.samples.empty:
        return
    asked, run_id = service(), result.run["id"]
    files: tuple[tuple[str, Callable[[], str | bytes], str, str], ...] = (
        ("Result JSON", lambda: asked.result_json(result), result.experiment.file, "application/json"),
        ("Samples CSV", lambda: asked.samples_csv(result), f"{run_id}.csv", "text/csv"),
        (
            "Samples Parquet",
            lambda: asked.samples_parquet(result),
            f"{run_id}.parquet",
            "application/vnd.apache.parquet",
        ),
    )
    for column, (label, make, name, kind) in zip(st.columns(len(files)), files, strict=True):
        icon = ":material/download:"
        column.download_button(label, make, name, kind, icon=icon, on_click="ignore", width="stretch")


def run_name(run: dict) -> str:
    """When a run was asked for (to the second, to tell runs apart), on what, and how it ended if not simply done."""
    when = pd.Timestamp(run["created_at"]).strftime("%Y-%m-%d %H:%M:%S UTC")
    ending = f" · {run['state']}" if run["state"] in (State.STOPPED, State.FAILED) else ""
    return f"{when} · {run['title']}{ending}"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
