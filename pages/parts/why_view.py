"""The parts of the page that explains one setting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.parts import address, bar, figure_view
from pages.parts.perfetto import open_in_perfetto
from pages.parts.pressed import pressed
from pages.parts.run_parts import listed, run_name, waiting
from pages.parts.state import fragment, service
from pages.parts.tables import figures
from pages.parts.text import plain, say_error
from profcore import charts
from profcore.errors import UserError
from profcore.experiments.knobs import CATALOGUE
from profcore.models.config import check_model_path, model_shape
from profcore.models.knobs import check_profiled
from profcore.results.profiled import beside_run, partly
from profcore.results.tables import display_profile_kernels, display_profile_stages
from profcore.service.words import environment_line
from profcore.spec.runs import Target
from profcore.spec.stages import State
from profcore.spec.text import brief, counted
from profcore.stats.digits import written
from profcore.worker.profiles import ProfileKey

if TYPE_CHECKING:
    from pathlib import Path

_POLL_S = 0.5
_MOST_LOOKED_AT = 20


def choose() -> ProfileKey:
    """Draw the choice of run, setting and target; a page without any run says so and ends."""
    runs = listed(service().runs(), address.several("run"))
    # A picture of a data set is no setting that a profile pass knows.
    runs = runs[(runs["num_samples"] > 0) & runs["has_spec"] & runs["experiment"].isin(CATALOGUE)]
    if runs.empty:
        st.info("Nothing has been measured yet: begin with a knob, then click one of its bars.")
        st.stop()
    names = {row["id"]: f"{CATALOGUE[row['experiment']].title}: {run_name(row)}" for row in runs.to_dict("records")}
    address.say_unknown("run", names, "another is shown")
    # Not bound to the link by Streamlit, which would write the names, and with them what may change.
    address.settle("run", "why-run", st.query_params.get("run"))
    usual = None
    if st.session_state["why-run"] not in names:
        usual = _profiled(list(names))
        st.session_state["why-run"] = usual.run_id if usual else next(iter(names))
    run_id = st.selectbox("Run", list(names), format_func=lambda id: names[id], key="why-run")
    result = service().results.sweep(run_id)
    assert result
    titles = dict(zip(result.settings["setting"].tolist(), result.settings["title"].tolist(), strict=True))
    given = st.query_params.get("setting", "")
    address.settle("setting", "why-setting", int(given) if given.isdecimal() else None)
    if st.session_state["why-setting"] not in titles:
        if given and run_id == st.query_params.get("run"):
            st.warning(f"This run has no setting {plain(brief(given))}, which the link names: another is shown.")
        st.session_state["why-setting"] = usual.setting if usual else next(iter(titles))
    setting = st.selectbox("Setting", list(titles), format_func=lambda index: titles[index], key="why-setting")
    address.keep(run=run_id, setting=str(setting))
    address.offer_link()

    own = Target(**result.run["spec"]["target"])
    st.caption(plain(environment_line(result.run["environment"], result.state, result.run["environments"])))
    here = _name_of(own.device) == result.run["environment"].get("device_name")
    key = ProfileKey(run_id, setting, own)
    if not here and bar.has_devices():
        # A sample result may come with its profile; else only what is here can be profiled.
        options = ["as the run was measured", "as the bar says"]
        if (
            service().questions.profile(key) is None
            or st.radio("Profile", options, key="why-where", bind="query-params") == options[1]
        ):
            key = ProfileKey(run_id, setting, _bar_target())
            st.caption("The run's own device is not on this machine, so a pass is made on what the bar says.")
    _start_button(key, possible=here or key.target != own)
    return key


def _profiled(run_ids: list[str]) -> ProfileKey | None:
    """The first setting with a profile, of the first run that has one; None where there is none."""
    # Of many runs few have one, and the newest need not be among these.
    among = service().questions.profiled_runs()
    for run_id in [each for each in run_ids if each in among][:_MOST_LOOKED_AT]:
        run = service().store.run(run_id)
        if run is None:
            continue
        own = Target(**run["spec"]["target"])
        for setting in range(len(run["spec"]["sweep"]["settings"])):
            key = ProfileKey(run_id, setting, own)
            found = service().questions.profile(key)
            if found and found["state"] == "done":
                return key
    return None


def _name_of(device: str) -> str | None:
    """What a device of this machine is called; None where there is none such, or it is not known yet."""
    try:
        return next((each["name"] for each in service().jobs.seen().devices if each["id"] == device), None)
    except UserError:
        # The bar says why.
        return None


def _bar_target() -> Target:
    try:
        return bar.target()
    except UserError as error:
        say_error(error)
        st.stop()


def _start_button(key: ProfileKey, possible: bool) -> None:
    found = service().questions.profile(key)
    under_way = found is not None and found["state"] in ("queued", "working")
    label = "Profile again" if found and not under_way else "Profile this setting"
    if pressed(
        label,
        "profile",
        type="primary",
        icon=":material/search_insights:",
        width="stretch",
        disabled=under_way or not possible or bool(_why_not(key.target)),
    ):
        try:
            service().questions.start_profile(key)
        except UserError as error:
            say_error(error)
        else:
            st.rerun()


def _why_not(target: Target) -> str:
    """Why a target's model cannot be explained, whatever the setting; empty where it can, or is not known."""
    try:
        check_model_path(target.model, service().roots)
        shape = model_shape(target.model)
    except UserError:
        # Pressing says what is wrong.
        return ""
    try:
        check_profiled(shape)
    except UserError as error:
        return str(error)
    return ""


def show(key: ProfileKey) -> None:
    """Draw the profile, or how far it is."""
    found = service().questions.profile(key)
    if found is None and (reason := _why_not(key.target)):
        st.info(plain(reason))
    elif found is None:
        st.info("This setting has not been profiled yet. Press **Profile this setting**: it takes some seconds.")
    elif found["state"] == "failed":
        st.error(f"The profile pass failed: {plain(found['text'])}")
    elif found["state"] == "done":
        _draw(key, found["result"])
    else:
        fragment(run_every=_POLL_S)(_follow)(key)


def _follow(key: ProfileKey) -> None:
    found = service().questions.profile(key)
    if found is None or found["state"] in ("done", "failed"):
        st.rerun()
        return
    st.info(
        waiting(key.name) if found["state"] == "queued" else f"{plain(found['text'])}…", icon=":material/hourglass_top:"
    )


def _draw(key: ProfileKey, profile: dict[str, Any]) -> None:
    show_verdict = st.warning if profile["launch_bound"] else st.success
    show_verdict(plain(profile["verdict"]), icon=":material/bolt:")
    total = sum(stage["measured_ms"] for stage in profile["stages"])
    floor = sum(stage["floor_ms"] for stage in profile["stages"])
    first, second, third, fourth = st.columns(4)
    first.metric("GPU busy" if profile["on_gpu"] else "In operators", f"{profile['busy_share']:.0%}")
    kernels = sum(stage["kernels"] for stage in profile["stages"])
    second.metric("Kernels" if profile["on_gpu"] else "Operators", f"{kernels:,}")
    third.metric("Measured (ms)", written(total))
    fourth.metric("× floor", written(total / floor))
    result = service().results.sweep(key.run_id)
    if result is not None:
        tokens = result.settings.set_index("setting")["output_tokens"]
        if part := partly(profile, int(tokens[key.setting])):
            st.caption(f":material/info: {plain(part)}")
        if differs := beside_run(profile, result.summary, key.setting):
            st.caption(f":material/warning: {plain(differs)}")
    figure_view.draw(charts.parts(profile), "time_by_part", "parts")
    st.caption(
        f"Time in {'kernels' if profile['on_gpu'] else 'operators'} by part, and the rest of what was measured "
        "without the profiler, in which the device waits. The mark across a bar is its stage's floor. "
        + (f"Decode: {counted(profile['steps'], 'step')}." if profile["steps"] else "")
    )
    ran = "kernels" if profile["on_gpu"] else "operators"
    stages, top, environment = st.tabs(["Stages", f"Top {ran}", "Environment"])
    with stages:
        figures(display_profile_stages(profile), "stage", "bound by")
    with top:
        figures(display_profile_kernels(profile), "stage", ran.removesuffix("s"))
    with environment:
        st.caption(plain(environment_line(profile["environment"], State.DONE)))
        st.json({"setting": profile["setting"], "ceilings": profile["ceilings"]})
    trace = service().questions.profile_trace(key)
    if trace is not None:
        _trace(trace, key.name)


def _trace(trace: Path, title: str) -> None:
    """Draw the two ways to a trace: as a file, and in a viewer."""
    left, right, _ = st.columns([1, 1, 2])
    left.download_button(
        "Chrome trace",
        trace.read_bytes,
        trace.name,
        "application/gzip",
        icon=":material/download:",
        on_click="ignore",
        width="stretch",
        help="Opens in ui.perfetto.dev, as it is.",
    )
    with right:
        open_in_perfetto(trace, title)
    st.caption(
        "*Open in Perfetto* loads ui.perfetto.dev in a new tab and hands it the trace there: the trace stays in your "
        "browser and is sent to no server."
    )
