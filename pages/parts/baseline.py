"""A baseline: a run that was pinned, whose medians are laid over the charts of others of its knob."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from pages.parts import address
from pages.parts.state import service
from pages.parts.text import plain
from profcore.charts.baseline import lay_over
from profcore.charts.views import metrics_of
from profcore.comparisons.conditions import find_differences, result_conditions

if TYPE_CHECKING:
    import altair as alt

    from profcore.charts.views import Steps, View
    from profcore.export.captions import Provenance
    from profcore.results.sweep import Result

_PINNED = "baselines"
_BUTTON = "pin-baseline"


def laid_over(view: View, result: Result) -> View:
    """Draw what pins the shown run, or lets go of the baseline; the view with the baseline laid over it, if any."""
    experiment = result.experiment.name
    pinned = _settle(experiment)
    baseline = service().results.sweep(pinned) if pinned and pinned != result.run["id"] else None
    if pinned and pinned != result.run["id"] and (baseline is None or baseline.experiment.name != experiment):
        # Deleted since, or another knob's.
        _pin(experiment, "")
        pinned = baseline = None
    told, pinning = st.columns([5, 1.6], vertical_alignment="center")
    with pinning:
        _button(experiment, result.run["id"], pinned)
    if pinned == result.run["id"]:
        told.caption("This run is the baseline: choose another, and its medians are laid over that one's charts.")
    if baseline is None or baseline.summary.empty:
        return view
    told.caption(plain(_told(result, baseline, has_marks=bool(metrics_of(view)))))
    return _over(view, baseline)


def key(name: str, experiment: str) -> str:
    """What tells drawings of a view apart: the view, and what is laid over it."""
    return f"{name} {_known().get(experiment, '')}"


def run_ids(experiment: str) -> list[str]:
    """The run that is laid over an experiment's charts, if any."""
    return [pinned] if (pinned := _known().get(experiment)) else []


def noted(source: Provenance, result: Result) -> Provenance:
    """Where a chart's figures come from, with the baseline that is laid over it."""
    pinned = _known().get(result.experiment.name)
    if not pinned or pinned == result.run["id"]:
        return source
    return replace(source, marks=f"{source.marks} Diamonds: medians of run {pinned}, the baseline.")


def _known() -> dict[str, str]:
    """The run that is pinned for each experiment."""
    return st.session_state.setdefault(_PINNED, {})


def _settle(experiment: str) -> str | None:
    """The run that is pinned: the address says it, and on coming back to the page what was pinned before."""
    given, moved = st.query_params.get("baseline"), address.moved("baseline")
    # Streamlit lets go of a page's buttons when another page is drawn.
    came_back = _BUTTON not in st.session_state
    if given and (moved or came_back):
        _known()[experiment] = given
    elif moved and not came_back:
        _known().pop(experiment, None)
    address.keep(baseline=_known().get(experiment))
    return _known().get(experiment)


def _button(experiment: str, run_id: str, pinned: str | None) -> None:
    label, icon, wanted = "Pin as baseline", ":material/keep:", run_id
    if pinned:
        label, icon, wanted = "Unpin the baseline", ":material/keep_off:", ""
    st.button(label, key=_BUTTON, icon=icon, type="tertiary", on_click=_pin, args=(experiment, wanted))


def _pin(experiment: str, run_id: str) -> None:
    _known().pop(experiment, None)
    if run_id:
        _known()[experiment] = run_id
    address.keep(baseline=run_id or None)


def _over(view: View, baseline: Result) -> View:
    name = f"Baseline: {_called(baseline)}"

    def drawn(result: Result, steps: Steps) -> list[alt.LayerChart]:
        charts, metrics = view(result, steps), metrics_of(view)
        if len(charts) != len(metrics):
            return charts
        return [lay_over(chart, result, baseline, each, name) for chart, each in zip(charts, metrics, strict=True)]

    return drawn


def _told(result: Result, baseline: Result, has_marks: bool) -> str:
    """What is laid over, and what of its conditions is another."""
    pair = [result_conditions(result, "this run"), result_conditions(baseline, "the baseline")]
    differences = "; ".join(find_differences(pair))
    drawn = "Diamonds: medians of the baseline" if has_marks else "The baseline has no marks in this view"
    return f"{drawn}, {_called(baseline)}." + (f" What differs: {differences}." if differences else "")


def _called(baseline: Result) -> str:
    """How a legend calls it: its name or engine, and when it was asked for."""
    run = baseline.run
    called = run["name"] or run["environment"].get("engine") or run["state"]
    return f"{called}, {pd.Timestamp(run['created_at']).strftime('%d %b %H:%M:%S')}"
