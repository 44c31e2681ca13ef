"""The parts of the page that sets engines side by side."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from pages.parts import bar, figure_view, group_choice, how_often
from pages.parts.pressed import pressed
from pages.parts.state import fragment, service
from pages.parts.text import plain, say_error
from profcore import charts
from profcore.comparisons import engines, published
from profcore.comparisons.before_quoting import quoting_lines
from profcore.comparisons.side_by_side import find_groups, load_side_by_side
from profcore.engines.names import ENGINES, PEERS, peers_of
from profcore.errors import UserError
from profcore.experiments.knobs import Experiment, base_setting, build_settings, default_values, why_not
from profcore.export.captions import several_sources
from profcore.models.families.shape import FamilyShape
from profcore.spec.runs import Sweep
from profcore.spec.stages import State
from profcore.spec.text import counted
from profcore.stats import SMALLEST_FOR_SLOPE

if TYPE_CHECKING:
    from profcore.models.shape import Shape

_LIVE_S = 1.0


def measure(experiment: Experiment, config: Shape) -> None:
    """Draw what starts the same sweep under each engine, on what the bar says."""
    if not bar.has_devices():
        st.caption(plain(bar.problem()))
        return
    try:
        target = bar.target()
    except UserError as error:
        say_error(error)
        return
    if why := why_not(experiment, config):
        st.caption(f":material/block: {plain(why)}")
        return
    own = isinstance(config, FamilyShape)
    possible = [*bar.engines_for(target.device, config), *([] if own else peers_of(target.device))]
    if own:
        st.caption(":material/block: The compiled engine and generate's static cache are measured of MolmoE alone.")
    chosen = st.pills("Engines", possible, default=possible, selection_mode="multi", key="engines")
    often = how_often.choose("Samples per setting", 100, 20, "samples", bound=True)
    settings = build_settings(experiment, default_values(experiment, config), base_setting(experiment, config))
    sweep = often.of(Sweep(experiment.name, settings, clock=bar.clock()))
    inferences = how_often.inferences(sweep, len(chosen)).capitalize()
    st.markdown(f"**{plain(inferences)}**: {counted(len(settings), 'setting')} under each engine")
    if note := service().space_note([sweep] * len(chosen)):
        st.warning(plain(note))
    if pressed(
        "Measure under each",
        "run-engines",
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=not chosen,
    ):
        _start(sweep, chosen)
    for name, text in {**ENGINES, **PEERS}.items():
        st.caption(f"**{name}**: {text}")


def _start(sweep: Sweep, engines: list[str]) -> None:
    try:
        for engine in engines:
            service().start(replace(bar.target(), engine=engine), sweep, bar.devices())
    except UserError as error:
        say_error(error)


def show(experiment: Experiment) -> None:
    """Draw runs that were measured alike under each engine, and what is still being measured."""
    _under_way(experiment.name)
    store = service().store
    groups = service().results.among("groups", [experiment.name], lambda: find_groups(store, experiment.name))
    if not groups:
        st.info("Nothing has been measured here yet. Press **Measure under each** on the left.")
        return
    group = group_choice.choose("Measured on", groups)
    ids = list(group.runs.values())
    found = service().results.follows("engines", ids, lambda: load_side_by_side(store, experiment.name, group))
    log = st.toggle("Log scale", value=True, key="log", bind="query-params")
    metrics = engines.compared_metrics(experiment)
    source = several_sources(
        found.results,
        f"{experiment.title}: medians under each engine.",
        "Points: medians. Floor: the least that FLOPs and bytes allow at the card's measured ceilings."
        + (f" {published.PUBLISHED}: {published.published_source()}" if found.published else ""),
    )
    for start in range(0, len(metrics), 2):
        for column, metric in zip(st.columns(2), metrics[start : start + 2], strict=False):
            with column:
                name = f"engines_{experiment.name}_{metric.removesuffix('_ms')}"
                chart, spec = figure_view.drawn_once(
                    ("engines", metric, log),
                    ids,
                    partial(charts.engines, found.rows, experiment, metric, log),
                )
                figure_view.draw(chart, name, f"engines-{metric}", source=source, spec=spec)
    if len(group.runs) == 1:
        (engine,) = group.runs
        st.caption(f":material/info: Only {plain(engine)} was measured here; the others would stand beside it.")
    for difference in found.differences:
        st.caption(f":material/warning: The runs differ in more than the engine. {plain(difference)}.")
    for note in found.notes:
        st.caption(f":material/info: {plain(note)}")
    for line in quoting_lines(service().results.any, {run_id: engine for engine, run_id in group.runs.items()}):
        st.caption(f":material/warning: {plain(line)}")
    st.subheader(f"What it costs {experiment.per}")
    table = engines.display_sensitivities(found.sensitivities, found.rows)
    aligned = {name: st.column_config.Column(alignment="right") for name in table.columns[2:]}
    st.dataframe(table, hide_index=True, column_config=aligned)
    st.caption(
        "Per step: slope of the least-squares line through the medians, with its 95 % interval, which needs "
        f"{SMALLEST_FOR_SLOPE} samples at each setting. × eager and × floor: at the largest value that both "
        "have, which stands under *at*. "
        "TPOT is the decode time per decode step."
    )
    if found.published:
        st.caption(f"*{published.PUBLISHED}*: {published.published_source()}")


def _under_way(experiment: str) -> None:
    """Follow the runs of this experiment that are not done, and draw the page anew when one ends."""

    def unfinished() -> list[dict]:
        runs = service().runs(experiment)
        return runs[~runs["state"].isin([str(state) for state in State if state.ended])].to_dict("records")

    known = {run["id"] for run in unfinished()}

    @fragment(run_every=_LIVE_S if known else None)
    def follow() -> None:
        now = unfinished()
        if {run["id"] for run in now} != known:
            st.rerun()
        for run in sorted(now, key=lambda each: each["created_at"]):
            planned = run["planned_samples"] or 1
            most = "at most " if run["open_ended"] else ""
            done = f"{run['num_samples']:,} of {most}{counted(planned, 'sample')}"
            text = f"{run['title']}: {run['phase'] or run['state']}, {done}"
            st.progress(min(run["num_samples"] / planned, 1.0), plain(text))

    if known:
        follow()
