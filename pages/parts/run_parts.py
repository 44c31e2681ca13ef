"""What every page that shows a run is made of: which run, how far it is, what it was measured on, and its files."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

import pandas as pd
import streamlit as st

from pages.parts import address, hand_over, head_start
from pages.parts.state import fragment, service
from pages.parts.text import plain, say_error
from profcore.errors import UserError
from profcore.export.archive import load_run
from profcore.results.base import tell_apart
from profcore.results.described import describe_run
from profcore.service.words import about, rough_duration
from profcore.spec.stages import State
from profcore.spec.text import brief, counted
from profcore.worker.limits import no_sign_limit

if TYPE_CHECKING:
    from collections.abc import Callable

    from profcore.results.base import MeasuredRun

Value = TypeVar("Value")

LIVE_S = 0.5
# A look that has waited so long for news shows what the last one did; the next is half a second away.
_WAITS_S = 0.1
# What a warm worker needs for a first sample, with room for a machine that has other work.
_MOMENT_S = 1.2
_IDLE_S = 2.0
_LOOK_S = 0.02
_EMPTY = "followed without samples"
_AWAITED = "first sample awaited"
_PROBLEM = "resume-problem"
LATEST = "latest"


def pick(experiment: str, empty: str = "Choose values on the left and press **Run**.") -> str | None:
    """Draw the choice of run, the latest unless another is chosen; None where there is none, which is then said.

    Args:
        experiment: Whose runs.
        empty: What to do where there is none.
    """
    runs = listed(service().runs(experiment), address.several("run"))
    if runs.empty:
        st.info(f"Nothing has been measured here yet. {empty}")
        watch(experiment, None)
        return None
    names = tell_apart({row["id"]: run_name(row) for row in runs.to_dict("records")})
    latest = service().latest(experiment)
    if latest is None:
        return _pick_import(experiment, names, empty)
    # Not bound to the link by Streamlit, which would write the name, and with it what may change.
    asked = st.query_params.get("run", LATEST)
    address.say_unknown("run", (LATEST, *names), "the latest is shown")
    address.settle("run", "run", asked)
    if st.session_state["run"] not in names:
        st.session_state["run"] = LATEST
    what = "Sample result" if runs.set_index("id").loc[latest, "source"] == "shipped" else "Latest"
    choosing, linking = st.columns([5, 1], vertical_alignment="bottom")
    chosen = choosing.selectbox(
        "Run",
        [LATEST, *names],
        format_func=lambda id: f"{what}: {names[latest]}" if id == LATEST else names[id],
        key="run",
    )
    address.keep(run=None if chosen == LATEST else chosen)
    shown = latest if chosen == LATEST else chosen
    with linking:
        address.offer_link(run=shown)
    return shown


def listed(runs: pd.DataFrame, asked: list[str]) -> pd.DataFrame:
    """The runs that a choice offers: an archived one only where the address asks for it by its id."""
    return runs[~runs["archived"] | runs["id"].isin(asked)]


def _pick_import(experiment: str, names: dict[str, str], empty: str) -> str | None:
    """Draw the choice among imported runs alone, of which none is shown until it is chosen; takes what `pick` takes."""
    address.settle("run", "run", st.query_params.get("run"))
    if st.session_state["run"] not in names:
        st.session_state["run"] = None
    chosen = st.selectbox(
        "Run", list(names), format_func=lambda id: names[id], key="run", index=None, placeholder="Choose an import"
    )
    if chosen is None:
        st.info(f"Nothing was measured here yet. {empty} Or choose an imported run above.")
        address.keep(run=None)
        watch(experiment, None)
        return None
    address.keep(run=chosen)
    address.offer_link()
    return chosen


def shown(experiment: str) -> str | None:
    """The run that `pick` will draw, for what stands above it; None where there is none."""
    chosen = st.session_state.get("run") or st.query_params.get("run", LATEST)
    ids = set(service().runs(experiment)["id"])
    return chosen if chosen in ids else service().latest(experiment)


def is_latest() -> bool:
    """Whether the page shows whatever run is the latest."""
    return st.session_state.get("run") == LATEST


def watch(experiment: str, known: str | None) -> None:
    """Look out for a run later than the one shown, whoever starts it."""

    @fragment(run_every=_IDLE_S)
    def look() -> None:
        if service().latest(experiment) != known:
            st.rerun()

    look()


def followed(
    run_id: str,
    what: tuple[str, ...],
    make: Callable[[], Value | None],
    result_of: Callable[[Value], MeasuredRun],
) -> Value | None:
    """What is shown of a run under way, worked out once for all who watch it, in no session of theirs.

    Args:
        run_id: The run.
        what: What of it.
        make: Works it out; None where there is no such run.
        result_of: The run in what was worked out.
    """
    key = (run_id, *what)
    # What everybody waits for is the first sample: it is shown as soon as it is there.
    if st.session_state.get(_EMPTY) == key:
        # Until the next look.
        _await_first_sample(run_id, LIVE_S - _LOOK_S)
        shown = service().shared.follow(key, make, 0.0, LIVE_S)
    else:
        shown = service().shared.follow(key, make, LIVE_S, _WAITS_S)
    empty = shown is not None and result_of(shown).samples.empty
    st.session_state[_EMPTY] = key if empty else None
    return shown


def begin_to_follow(result: MeasuredRun) -> None:
    """Have the next look at a run under way wait for nothing, since the whole page is drawn with it.

    A run that has just begun, behind no other, is given a moment for its first sample, once: with a worker that has
    the model it comes within that, and the page is drawn once with it, instead of without it and half a second later
    again.
    """
    st.session_state.pop(_EMPTY, None)
    head_start.waive()
    run_id = result.run["id"]
    if result.samples.empty and st.session_state.get(_AWAITED) != run_id:
        st.session_state[_AWAITED] = run_id
        if service().position(run_id):
            return
        place = st.empty()
        place.caption(plain(_how_far(result)))
        _await_first_sample(run_id, _MOMENT_S)
        place.empty()
        head_start.expect_bar(run_id)


def _await_first_sample(run_id: str, most_s: float) -> None:
    """Wait until a run has a sample, or will have none, for at most so many seconds.

    What else changes meanwhile, such as what is being warmed up, is shown by the next look: drawing it takes time in
    which no sample is seen.
    """
    store, known, end = service().store, None, time.monotonic() + most_s
    while time.monotonic() < end:
        if (changes := store.connection.changes) != known:
            known, run = changes, store.run(run_id)
            if run is None or run["num_samples"] or State(run["state"]).ended:
                return
        time.sleep(_LOOK_S)


def progress(result: MeasuredRun) -> None:
    """Say how far a run is, with a button that stops it; or how it ended, if not simply done, and offer to go on."""
    state, reason = result.state, result.run["reason"]
    # Of what was measured, whether it is in the figures or not: that is what is not to be measured again.
    done, planned = result.run["num_samples"], result.planned
    if state.ended:
        if state is State.FAILED:
            st.error(f"This run failed: {plain(reason)}")
        elif state is State.STOPPED:
            st.warning(
                f"{plain(reason or 'Stopped.')} {counted(done, 'sample')} {'was' if done == 1 else 'were'} taken."
            )
        if state is not State.DONE and result.run["source"] == "measured":
            _offer_to_resume(result.run["id"], planned - done, result.open_ended)
        return
    left, right = st.columns([5, 1], vertical_alignment="center")
    left.progress(min(done / planned, 1.0) if planned else 0.0, plain(_how_far(result)))
    with right:
        stop_button(result.run["id"], "stop")
    _say_no_sign(result.run["id"])


def _how_far(result: MeasuredRun) -> str:
    """How far a run under way is, in a line."""
    run_id, phase = result.run["id"], result.run["phase"]
    most = "at most " if result.open_ended else ""
    count = f"{result.run['num_samples']:,} of {most}{counted(result.planned, 'sample')}"
    if service().is_stopping(run_id):
        return f"Stopping… · {count}"
    if result.state is State.QUEUED:
        position = service().position(run_id)
        return phase or (f"Queued: {position} before this" if position else "Queued")
    remaining = result.remaining_s
    left = "" if remaining is None else f" · {about(remaining)} left"
    return f"{phase or 'Running'} · {count}{left}"


def stop_button(run_id: str, key: str) -> None:
    """A button that stops a run, which says so from the press on until the run has ended."""
    stopping = service().is_stopping(run_id)
    label = "Stopping…" if stopping else "Stop"
    st.button(
        label,
        icon=":material/stop:",
        key=key,
        on_click=_stop,
        args=(run_id,),
        disabled=stopping,
        width="stretch",
        wrap=False,
    )


def _say_no_sign(run_id: str) -> None:
    """Say that the worker gives no sign of life where that is so, and offer to end it."""
    quiet = service().no_sign_s(run_id)
    if quiet is None:
        return
    left, right = st.columns([5, 1], vertical_alignment="center")
    left.warning(
        f"The worker has given no sign for {rough_duration(quiet)}. After {rough_duration(no_sign_limit())} it is "
        "ended, the setting marked, and the run goes on with the others."
    )
    right.button("End it", icon=":material/bolt:", key="end-worker", on_click=_end_worker, args=(run_id,))


def _end_worker(run_id: str) -> None:
    st.toast("Ending the worker." if service().give_up(run_id) else "The worker is not at this run any more.")


def _offer_to_resume(run_id: str, missing: int, at_most: bool) -> None:
    """A button by which a run goes on where it was."""
    left = f", {'at most ' if at_most else ''}{counted(missing, 'sample')} to go" if missing > 0 else ""
    st.button(f"Resume{plain(left)}", icon=":material/resume:", key="resume", on_click=_resume, args=(run_id,))
    if problem := st.session_state.pop(_PROBLEM, ""):
        say_error(problem)


def _resume(run_id: str) -> None:
    try:
        service().resume(run_id)
    except UserError as error:
        st.session_state[_PROBLEM] = str(error)


def _stop(run_id: str) -> None:
    try:
        service().stop(run_id)
    except UserError as error:
        st.toast(plain(brief(str(error))))


def waiting(question: str) -> str:
    """How many tasks a question to the worker waits for, in words."""
    before = service().jobs.position(question)
    return f"Queued: {before} before this, on the same device" if before else "Queued"


def described(result: MeasuredRun) -> pd.DataFrame:
    """What was asked for and what it was measured on, as `environment` draws it."""
    return describe_run(result.run).map(plain)


def environment(result: MeasuredRun, table: pd.DataFrame | None = None) -> None:
    """Show what was asked for and what it was measured on.

    Args:
        result: Any run.
        table: As `described` gives it, where that was worked out before.
    """
    run = result.run
    created = pd.Timestamp(run["created_at"]).strftime("%Y-%m-%d %H:%M:%S UTC")
    st.caption(f"Run {plain(run['id'])} · asked for {created} · {plain(run['source'])}")
    st.table(described(result) if table is None else table, hide_index=True, hide_header=True, border="horizontal")


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

    files: tuple[tuple[str, Callable[[], str | bytes], str, str], ...] = (
        _result_file(result, stored),
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
    hand_over.show([run_id], "run")


def _result_file(
    result: MeasuredRun, stored: Callable[[], MeasuredRun]
) -> tuple[str, Callable[[], str | bytes], str, str]:
    """What the button of a run's result files says, makes and is called: one file, or a zip of several."""
    asked = service().downloads
    name = asked.result_name(result)
    if name.endswith(".zip"):
        return "Result files", lambda: asked.result_zip(stored()), name, "application/zip"
    return "Result JSON", lambda: asked.result_json(stored()), name, "application/json"


def run_name(run: dict) -> str:
    """When a run was asked for (to the second, to tell runs apart), on what, and how it ended if not simply done."""
    when = pd.Timestamp(run["created_at"]).strftime("%Y-%m-%d %H:%M:%S UTC")
    ending = f" · {run['state']}" if run["state"] in (State.STOPPED, State.FAILED) else ""
    return f"{when} · {run['title']}{ending}"
