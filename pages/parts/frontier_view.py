"""The frontier of a joint run: chart, what a click chose, one knob held, and its overlap with another run's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import streamlit as st

from pages.parts import address, figure_view, leads, other_run, tables, trade_off_data
from pages.parts.text import plain, say_error
from profcore import charts
from profcore.errors import UserError
from profcore.experiments.knobs import JOINT
from profcore.export.captions import run_provenance
from profcore.spec.stages import Stage
from profcore.tradeoff.frontier import frontier_sentences
from profcore.tradeoff.latencies import ENERGY, METRICS
from profcore.tradeoff.overlap import frontier_overlap, overlap_sentences
from profcore.tradeoff.points import KNOBS, quality_title
from profcore.tradeoff.tables import display_frontier

if TYPE_CHECKING:
    from profcore.tradeoff.frontier import Frontier
    from profcore.tradeoff.points import JointPoints

_NONE = "none"
_USUAL = "total_ms"
_OF_LENGTH = ("llm_decode_ms", "total_ms", ENERGY)
_PERCENTILES = {"P50": 50.0, "P95": 95.0}


class _Look(NamedTuple):
    """What of a run is drawn: a latency, its percentile, and the knob that is held with its value."""

    metric: str
    percentile: float
    held: tuple[str, Any] | None


def show(run: dict[str, Any], quality: str) -> None:
    """Draw the frontier of a run.

    Args:
        run: As `Reader.run`.
        quality: Of `points.QUALITIES`.
    """
    points = trade_off_data.points(run["id"])
    look = _choose(points)
    found = trade_off_data.frontier(run["id"], look.metric, look.percentile, quality, look.held)
    what = f"{quality_title(points, quality)} against latency: the frontier."
    source = run_provenance(run, what, "Points: settings. Lines: 95 % intervals.")
    # What was clicked in another chart is another point.
    key = "-".join(map(str, ("frontier", run["id"], quality, *look)))
    chart, spec = figure_view.drawn_once(("frontier", quality, *look), [run["id"]], lambda: charts.frontier(found))
    selected = figure_view.draw(chart, "frontier", key, selection=charts.CLICK, source=source, spec=spec)
    st.markdown("\n".join(f"- {plain(sentence)}" for sentence in frontier_sentences(found)))
    st.caption(
        "Intervals of latency say where the percentile may lie, whatever the distribution; those of accuracy come from "
        "drawing questions anew, the same for every setting. A faint point is on the frontier in few of the draws. A "
        "click on a point shows its setting."
    )
    if look.metric in _OF_LENGTH and found.table["output_tokens"].nunique(dropna=True) > 1:
        st.caption(
            ":material/warning: Answers of several lengths are weighed here, and shorter ones take less: hold the "
            "output tokens to compare the other knobs."
        )
    _setting(found, selected.get(charts.CLICK) or [])
    with st.expander("The frontier as a table", icon=":material/table:"):
        tables.figures(display_frontier(found), "setting")
    _overlap(run["id"], points, found)


def _choose(points: JointPoints) -> _Look:
    """Draw the choice of a latency, a percentile, and a knob that is held."""
    first, second, third, fourth = st.columns([1.4, 1, 1.2, 1.2])
    titles = {title: name for name, title in METRICS.items() if name != ENERGY or points.table[ENERGY].notna().any()}
    usual = list(titles).index(METRICS[_USUAL])
    address.begin_anew("latency", titles)
    metric = titles[first.selectbox("Latency", list(titles), index=usual, key="latency", bind="query-params")]
    named = second.segmented_control(
        "Percentile", list(_PERCENTILES), default="P50", required=True, key="percentile", bind="query-params"
    )
    with third:
        knobs = [_NONE, *points.varied]
        knob = st.selectbox(
            "Hold a knob", knobs, format_func=lambda name: KNOBS.get(name, name), key=f"hold-{points.run_id}"
        )
    if knob == _NONE:
        return _Look(metric, _PERCENTILES[named or "P50"], None)
    values = sorted(points.table[knob].dropna().unique().tolist())
    with fourth:
        value = st.selectbox("At", values, format_func=_value, key=f"held-{points.run_id}-{knob}")
    return _Look(metric, _PERCENTILES[named or "P50"], (knob, value))


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _setting(found: Frontier, selected: list[dict[str, Any]]) -> None:
    """What was clicked: the setting's stages, and where its run is."""
    rows = found.table
    chosen = [int(each["point"]) for each in selected if 0 <= int(each.get("point", -1)) < len(rows)]
    titles = rows["label"].tolist()
    members = found.members
    usual = chosen[0] if chosen else int(members.index[0]) if len(members) else 0
    # Whoever cannot click chooses here; a click is another choice.
    place = st.selectbox(
        "Setting",
        range(len(titles)),
        index=usual,
        format_func=titles.__getitem__,
        key=f"setting-of-{found.points.run_id}-{len(titles)}-{usual}",
    )
    medians = found.points.latencies.medians_of(place, [stage.column for stage in Stage])
    figure_view.draw(charts.setting_bar(medians, titles[place]), "setting", "setting-bar")
    page, query = leads.lead(JOINT.name, found.points.run_id)
    st.page_link(page, label="Its run", icon=":material/open_in_new:", query_params=query)


def _overlap(run_id: str, points: JointPoints, found: Frontier) -> None:
    """The choice of another run, and how far its frontier is the same."""
    other = other_run.choose(run_id, "Overlap with the frontier of")
    if other is None:
        return
    try:
        compared = frontier_overlap(points, trade_off_data.points(other), found.metric, found.percentile, found.quality)
    except UserError as error:
        say_error(error)
        return
    st.markdown("\n".join(f"- {plain(sentence)}" for sentence in overlap_sentences(compared)))
