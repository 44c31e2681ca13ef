"""The parts of the page that sets engines side by side."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import streamlit as st

from pages.parts import bar, figure_view
from pages.parts.pressed import pressed
from pages.parts.state import service
from profcore import charts
from profcore.comparisons import engines, published
from profcore.comparisons.side_by_side import find_groups, load_side_by_side
from profcore.engines.names import ENGINES, engines_of
from profcore.errors import UserError
from profcore.experiments.knobs import Experiment, base_setting, build_settings, default_values
from profcore.spec.runs import Sweep
from profcore.spec.stages import State
from profcore.stats import SMALLEST_FOR_SLOPE

if TYPE_CHECKING:
    from profcore.models.config import MolmoConfig

_LIVE_S = 1.0


def measure(experiment: Experiment, config: MolmoConfig) -> None:
    """Draw what starts the same sweep under each engine, on what the bar says."""
    try:
        target = bar.target()
    except UserError as error:
        st.error(str(error))
        return
    possible = engines_of(target.device)
    chosen = st.pills("Engines", possible, default=possible, selection_mode="multi", key="engines")
    num_samples = st.slider("Samples per setting", 1, 100, 20, key="samples", bind="query-params")
    settings = build_settings(experiment, default_values(experiment, config), base_setting(experiment, config))
    sweep = Sweep(experiment.name, settings, num_samples, clock=bar.clock())
    st.markdown(f"**{sweep.num_inferences * len(chosen):,} inferences**: {len(settings)} settings under each engine")
    if pressed(
        "Measure under each",
        "run-engines",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=not chosen,
    ):
        _start(sweep, chosen)
    for name, text in ENGINES.items():
        st.caption(f"**{name}**: {text}")


def _start(sweep: Sweep, engines: list[str]) -> None:
    try:
        for engine in engines:
            service().start(replace(bar.target(), engine=engine), sweep)
    except UserError as error:
        st.error(str(error))


def show(experiment: Experiment) -> None:
    """Draw runs that were measured alike under each engine, and what is still being measured."""
    _under_way(experiment.name)
    groups = find_groups(service().store, experiment.name)
    if not groups:
        st.info("Nothing has been measured here yet. Press **Measure under each** on the left.")
        return
    titles = [group.title for group in groups]
    title = st.selectbox("Measured on", titles, key="group")
    group = groups[titles.index(title)] if title in titles else groups[0]
    found = load_side_by_side(service().store, experiment.name, group)
    log = st.toggle("Log scale", value=True, key="log", bind="query-params")
    metrics = engines.compared_metrics(experiment)
    for start in range(0, len(metrics), 2):
        for column, metric in zip(st.columns(2), metrics[start : start + 2], strict=False):
            chart = charts.engines(found.rows, experiment, metric, log)
            with column:
                figure_view.draw(chart, f"engines_{experiment.name}_{metric.removesuffix('_ms')}", f"engines-{metric}")
    if len(group.runs) == 1:
        (engine,) = group.runs
        st.caption(f":material/info: Only {engine} was measured here; the others would stand beside it.")
    for difference in found.differences:
        st.caption(f":material/warning: The runs differ in more than the engine. {difference}.")
    for note in found.notes:
        st.caption(f":material/info: {note}")
    st.subheader(f"What it costs {experiment.per}")
    st.dataframe(engines.display_sensitivities(found.sensitivities), hide_index=True)
    st.caption(
        "Slope of the least-squares line through the medians, in milliseconds, with its 95 % interval, which needs "
        f"{SMALLEST_FOR_SLOPE} samples at each setting. TPOT is the decode time per decode step."
    )
    if found.published:
        st.caption(f"*{published.PUBLISHED}*: {published.published_source()}")


def _under_way(experiment: str) -> None:
    """Follow the runs of this experiment that are not done, and draw the page anew when one ends."""

    def unfinished() -> list[dict]:
        runs = service().runs(experiment)
        return runs[~runs["state"].isin([str(state) for state in State if state.ended])].to_dict("records")

    known = {run["id"] for run in unfinished()}

    @st.fragment(run_every=_LIVE_S if known else None)
    def follow() -> None:
        now = unfinished()
        if {run["id"] for run in now} != known:
            st.rerun()
        for run in sorted(now, key=lambda each: each["created_at"]):
            planned = run["planned_samples"] or 1
            text = f"{run['title']}: {run['phase'] or run['state']}, {run['num_samples']} of {planned} samples"
            st.progress(min(run["num_samples"] / planned, 1.0), text)

    if known:
        follow()
