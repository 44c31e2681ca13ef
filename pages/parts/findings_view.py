"""What Home shows at a glance: what the runs say in a few figures, and a small chart of each knob."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.parts import leads
from pages.parts.state import service
from pages.parts.text import plain
from profcore import charts
from profcore.comparisons.findings import find_findings
from profcore.experiments.knobs import CATALOGUE
from profcore.spec.stages import State

if TYPE_CHECKING:
    import pandas as pd

    from profcore.comparisons.findings import Finding

_ALWAYS = math.inf
_ASKS = {
    "context_scaling": "Image grids 1×1 to 1×12, until the first token.",
    "moe_topk": "Experts per token, 1 to 64, in prefill and decode.",
    "transformer_blocks_mask": "How many of the 16 transformer blocks run.",
    "output_tokens": "Answers of 1 to 200 tokens and longer.",
}
"""What each knob's page is about."""

_DIFFERS = "These runs differ in more than what is compared: the page that is linked says in what."


def show() -> None:
    """Draw the tiles, and the charts below them."""
    runs = service().runs()
    ended = runs[(runs["num_samples"] > 0) & runs["state"].isin([state for state in State if state.ended])]
    found = _findings(ended)
    if found:
        for column, finding in zip(st.columns(len(found)), found, strict=True):
            with column.container(border=True, height="stretch", gap="xsmall"):
                _tile(finding)
    for column, name in zip(st.columns(len(CATALOGUE)), CATALOGUE, strict=True):
        with column.container(border=True, height="stretch", gap="xsmall"):
            _knob(name, set(ended["id"]))


def _findings(ended: pd.DataFrame) -> list[Finding]:
    """The findings of the runs that have ended, looked for again only where these are others."""
    key = ("findings", tuple(ended["id"]))
    with st.spinner("Looking at what was measured…"):
        store, results = service().store, service().results
        return service().shared.get(key, lambda: find_findings(store, results.sweep, results.pictures), _ALWAYS)


def _tile(finding: Finding) -> None:
    """A figure, what it is made of, where it comes from, and a link to the page that shows it."""
    # A metric's own label is cut off where it does not fit in a line.
    st.markdown(f":small[{plain(finding.title)}]", help=_DIFFERS if finding.differs else None)
    st.metric(plain(finding.title), plain(finding.value), label_visibility="collapsed")
    st.markdown(f":small[{plain(finding.detail)}]")
    st.caption(plain(finding.source))
    page, label, query = _shown_on(finding)
    st.page_link(page, label=label, icon=":material/arrow_forward:", query_params=query)


def _shown_on(finding: Finding) -> tuple[str, str, dict[str, Any]]:
    """The page that shows a finding, what its link says, and its address."""
    if finding.kind == "engines":
        return "pages/engines.py", "Engines side by side", {"knob": CATALOGUE[finding.experiment].title}
    if finding.kind == "launching":
        setting = {} if finding.setting is None else {"setting": str(finding.setting)}
        return "pages/why.py", "Why this long?", {"run": finding.run, **setting}
    if finding.kind == "pictures":
        compared = CATALOGUE[finding.experiment].title
        return "pages/compare.py", "Sweep and pictures", {"compared": compared, "run": finding.run}
    return leads.page_of(finding.experiment), CATALOGUE[finding.experiment].title, {"run": finding.run}


def _knob(name: str, ended: set[str]) -> None:
    """A knob's page, what it asks, and the run that it shows, drawn small."""
    experiment = CATALOGUE[name]
    st.page_link(leads.page_of(name), label=f"**{experiment.title}**")
    run_id = service().latest(name)
    if run_id not in ended:
        # One under way is for its own page, which follows it.
        run_id = next((each for each in service().store.ranked(name) if each in ended), None)
    drawn = None if run_id is None else service().shared.get(("small", run_id), lambda: _small(run_id), _ALWAYS)
    if drawn is None:
        st.caption(_ASKS[name])
        return
    spec, said = drawn
    st.vega_lite_chart(spec, key=f"small-{name}", alt=f"{experiment.title}: latency by stage over the knob, {said}")
    st.caption(plain(said))


def _small(run_id: str) -> tuple[dict[str, Any], str] | None:
    """A run's small chart, and what it was measured on; None where there is nothing to draw."""
    result = service().results.sweep(run_id)
    if result is None or result.summary.empty:
        return None
    environment = result.run["environment"]
    known = [environment.get(each) for each in ("model", "engine", "device_name")]
    said = ", ".join(str(each) for each in known if each)
    return charts.vega_lite(charts.small(result.summary, result.experiment)), said
