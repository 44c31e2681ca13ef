"""Runs under the roofline of their cards: which runs, the chart, what follows for each stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from pages.parts import address, figure_view, tables
from pages.parts.state import service
from pages.parts.text import plain
from profcore import charts
from profcore.comparisons.side_by_side import find_groups
from profcore.experiments.knobs import CATALOGUE
from profcore.results.base import tell_apart
from profcore.results.points import display_roofline, result_points
from profcore.roofline.cost import NEAR
from profcore.roofline.points import conclusions
from profcore.spec.records import Ceilings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.experiments.knobs import Experiment
    from profcore.results.sweep import Result

_ALL, _FIRST = "all", "MoE top-k"


def show() -> None:
    """Draw the choice of a knob and its runs, those measured alike under each engine first, and what they say."""
    left, right = st.columns([2.4, 1])
    titles = {experiment.title: experiment for experiment in CATALOGUE.values()}
    chosen = left.segmented_control(
        "Knob", list(titles), default=_FIRST, required=True, key="knob", bind="query-params", wrap=True
    )
    experiment = titles[chosen or _FIRST]
    runs = service().runs(experiment.name)
    rows = {run["id"]: run for run in runs[runs["num_samples"] > 0].to_dict("records")}
    if not rows:
        st.info("Nothing has been measured here yet: choose values on the knob's page and press **Run**.")
        return
    picked = _choose(experiment, rows)
    results = [found for run_id in picked if (found := service().results.sweep(run_id)) is not None]
    of_several = len({rows[each.run["id"]]["model"] for each in results}) > 1
    called = tell_apart({each.run["id"]: _short_name(rows[each.run["id"]], of_several) for each in results})
    points = {each.run["id"]: _points(each).assign(run=called[each.run["id"]]) for each in results}
    for each in results:
        if points[each.run["id"]].empty:
            st.info(f"{plain(called[each.run['id']])}: its card's ceilings or its model's shape are not known.")
    known = [each for each in results if not points[each.run["id"]].empty]
    if not known:
        st.info("Choose a run above.")
        return
    whole = pd.concat([points[each.run["id"]] for each in known], ignore_index=True)
    setting = right.selectbox(
        "Setting", [_ALL, *whole["title"].drop_duplicates()], key=f"roofline-setting-{experiment.name}"
    )
    ceilings = {called[each.run["id"]]: Ceilings(**each.ceilings) for each in known}
    _draw(experiment, whole if setting == _ALL else whole[whole["title"] == setting], ceilings, picked)


def _choose(experiment: Experiment, rows: dict[str, dict]) -> list[str]:
    """Draw the choice of runs, which the address holds where it is not the usual one."""
    names = tell_apart({run_id: _long_name(row) for run_id, row in rows.items()})
    usual = _usual(experiment, rows)
    # Runs of another knob are another choice. Not bound to the link by Streamlit, which would write the names.
    key = f"roofline-{experiment.name}"
    given = [run_id for run_id in st.query_params.get_all("run") if run_id in rows][: charts.MOST_RUNS]
    address.say_unknown("run", rows, "others are shown")
    known = [run_id for run_id in st.session_state.get(key, given or usual) if run_id in rows]
    st.session_state[key] = known
    chosen = st.multiselect(
        "Runs",
        list(names),
        format_func=lambda id: names[id],
        key=key,
        max_selections=charts.MOST_RUNS,
        placeholder="Choose runs",
    )
    if chosen and chosen != usual:
        st.query_params["run"] = chosen
    else:
        st.query_params.pop("run", None)
    # What is written here is no link.
    address.moved("run")
    return chosen


def _usual(experiment: Experiment, rows: dict[str, dict]) -> list[str]:
    """Runs that were measured alike under each engine, else the latest."""
    store = service().store
    groups = service().results.among("groups", [experiment.name], lambda: find_groups(store, experiment.name))
    for group in groups:
        return [run_id for run_id in group.runs.values() if run_id in rows]
    latest = service().latest(experiment.name)
    return [latest] if latest in rows else [next(iter(rows))]


def _draw(experiment: Experiment, shown: pd.DataFrame, ceilings: dict[str, Ceilings], run_ids: Sequence[str]) -> None:
    names = shown["run"].drop_duplicates().tolist()
    what = ("roofline", tuple(names), tuple(shown["title"].drop_duplicates()))
    drawn, spec = figure_view.drawn_once(
        what, run_ids, lambda: charts.roofline(shown, {name: ceilings[name] for name in names})
    )
    figure_view.draw(drawn, f"{experiment.name}_roofline", "roofline", spec=spec)
    for name in names:
        if len(names) > 1:
            st.markdown(f"**{plain(name)}**")
        _say(shown[shown["run"] == name])
    tables.figures(display_roofline(shown), "run", "setting", "stage", "it is")
    _explain_points()


def explain(result: Result) -> None:
    """What follows from one run's points, under its chart on a knob's page."""
    points = _points(result)
    if points.empty:
        return
    _say(points)
    _explain_points()


def _points(result: Result) -> pd.DataFrame:
    """As `result_points`, worked out once."""
    return service().results.follows("points", [result.run["id"]], lambda: result_points(result))


def _say(points: pd.DataFrame) -> None:
    st.markdown("\n".join(f"- {plain(sentence)}" for sentence in conclusions(points)))


def _explain_points() -> None:
    st.caption(
        "FLOPs and bytes are those of the floor: 2 per multiply-add, routed experts only, and what must pass between "
        "memory and chip at least once. A stage counts as bound by the ceiling above it from "
        f"{NEAR:.0%} of it on, and as launch-bound where the host took most of its time to issue it. Of several runs "
        "of one kind of card the line is the highest that was measured, and each run's shares are of its own."
    )


def _short_name(run: dict, with_model: bool) -> str:
    """How a chart calls a run: its name, or its engine, after its model where runs of several are shown."""
    if isinstance(run["name"], str):
        return run["name"]
    if not isinstance(run["engine"], str):
        return run["title"]
    return f"{run['model']}, {run['engine']}" if with_model and isinstance(run["model"], str) else run["engine"]


def _long_name(run: dict) -> str:
    """How a list calls a run: its name, or its model and engine, when it was measured, and on what."""
    when = pd.Timestamp(run["created_at"]).strftime("%d %b %H:%M:%S")
    return ", ".join(str(part) for part in (_short_name(run, True), when, run["device"]) if isinstance(part, str))
