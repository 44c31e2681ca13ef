"""What every page that shows a run is made of: which run, how far it is, what it was measured on, and its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from pages.parts.state import service
from profcore.errors import UserError
from profcore.export.archive import load_run
from profcore.results.base import tell_apart
from profcore.spec.stages import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from profcore.results.base import MeasuredRun

LIVE_S = 0.5
_IDLE_S = 2.0
LATEST = "latest"


def pick(experiment: str) -> str | None:
    """Draw the choice of run, the latest unless another is chosen; None where there is none, which is then said."""
    runs = service().runs(experiment)
    if runs.empty:
        st.info("Nothing has been measured here yet. Choose values on the left and press **Run**.")
        watch(experiment, None)
        return None
    names = tell_apart({row["id"]: run_name(row) for row in runs.to_dict("records")})
    latest = service().store.latest(experiment)
    if latest is None:
        return _pick_import(experiment, names)
    # Not bound to the link by Streamlit, which would write the name, and with it what may change.
    if st.session_state.setdefault("run", st.query_params.get("run", LATEST)) not in names:
        st.session_state["run"] = LATEST
    what = "Sample result" if runs.set_index("id").loc[latest, "source"] == "shipped" else "Latest"
    chosen = st.selectbox(
        "Run",
        [LATEST, *names],
        format_func=lambda id: f"{what}: {names[latest]}" if id == LATEST else names[id],
        key="run",
    )
    if chosen == LATEST:
        st.query_params.pop("run", None)
        return latest
    st.query_params["run"] = chosen
    return chosen


def _pick_import(experiment: str, names: dict[str, str]) -> str | None:
    """Draw the choice among imported runs alone, of which none is shown until it is chosen."""
    if st.session_state.setdefault("run", st.query_params.get("run")) not in names:
        st.session_state["run"] = None
    chosen = st.selectbox(
        "Run", list(names), format_func=lambda id: names[id], key="run", index=None, placeholder="Choose an import"
    )
    if chosen is None:
        st.info("Nothing was measured here yet: press **Run** on the left, or choose an imported run above.")
        st.query_params.pop("run", None)
        watch(experiment, None)
        return None
    st.query_params["run"] = chosen
    return chosen


def is_latest() -> bool:
    """Whether the page shows whatever run is the latest."""
    return st.session_state.get("run") == LATEST


def watch(experiment: str, known: str | None) -> None:
    """Look out for a run later than the one shown, whoever starts it."""

    @st.fragment(run_every=_IDLE_S)
    def look() -> None:
        if service().store.latest(experiment) != known:
            st.rerun()

    look()


def progress(result: MeasuredRun) -> None:
    """Say how far a run is, with a button that stops it; or how it ended, if not simply done."""
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


def waiting(question: str) -> str:
    """How many tasks a question to the worker waits for, in words."""
    before = service().jobs.position(question)
    return f"Queued: {before} before this, on the same device" if before else "Queued"


def environment(result: MeasuredRun) -> None:
    """Show what was asked for and what it was measured on, as it is stored."""
    run = result.run
    created = pd.Timestamp(run["created_at"]).strftime("%Y-%m-%d %H:%M:%S UTC")
    st.caption(f"Run {run['id']} · asked for {created} · {run['source']}")
    st.json({"spec": run["spec"], "environment": run["environment"]}, expanded=1)


def downloads(result: MeasuredRun) -> None:
    """Buttons that make their file when they are pressed, from what is stored then."""
    if result.samples.empty:
        return
    asked, store, run_id = service().downloads, service().store, result.run["id"]

    def stored() -> MeasuredRun:
        found = load_run(store, run_id)
        if found is None:
            raise UserError(f"Run {run_id} has been deleted.")
        return found

    name = asked.result_name(result)
    files: tuple[tuple[str, Callable[[], str | bytes], str, str], ...] = (
        ("Result JSON", lambda: asked.result_json(stored()), name, "application/json"),
        ("Samples CSV", lambda: asked.samples_csv(stored()), f"{run_id}.csv", "text/csv"),
        (
            "Samples Parquet",
            lambda: asked.samples_parquet(stored()),
            f"{run_id}.parquet",
            "application/vnd.apache.parquet",
        ),
        ("All, with figures", lambda: asked.run_zip(run_id), f"{run_id}.zip", "application/zip"),
    )
    for column, (label, make, file, kind) in zip(st.columns(len(files)), files, strict=True):
        icon = ":material/download:"
        column.download_button(
            label, make, file, kind, key=f"get-{label}", icon=icon, on_click="ignore", width="stretch"
        )


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
