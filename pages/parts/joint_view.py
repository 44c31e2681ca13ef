"""A joint run on its page: heat maps of any two knobs, its settings as a table, and its files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import streamlit as st

from pages.parts import again, cards_view, figure_view, flags_view, named_baselines, run_parts, shards_view, tables
from pages.parts.state import fragment, service
from pages.parts.text import plain
from profcore import charts
from profcore.export.captions import of_figure, provenance
from profcore.export.run_figures import HEAT_MAP, ORDER
from profcore.results.joint_cells import combinations_of, fullest, heat_cells, joint_knobs, measures_of
from profcore.results.joint_tables import display_joint, word_columns
from profcore.results.quality import RANDOM_QUALITY, has_quality, is_random, quality_failure
from profcore.service.words import environment_line
from profcore.spec.text import counted

if TYPE_CHECKING:
    import altair as alt

    from profcore.results.joint import JointResult
    from profcore.results.joint_cells import JointKnob

_NAME = "joint"
_EACH = "each beside the other"
_A_ROW = 3
_USUAL = "total_ms"


class _Look(NamedTuple):
    """What of a run is drawn: two knobs, a measure, the values of the others, and the knob that has a map each."""

    across: str
    up: str
    measure: str
    held: dict[str, str]
    each: str | None


def show() -> None:
    """Draw the chosen run, or the latest."""
    run_id = run_parts.pick(_NAME)
    # It may have a million samples: read once for all who look at it as long as it does not change.
    result = service().results.joint(run_id) if run_id else None
    if result is None or run_id is None:
        return
    look = _choose(result)
    again.lead(result)
    if not result.state.ended:
        run_parts.begin_to_follow(result)
        fragment(run_every=run_parts.LIVE_S)(_follow)(run_id, look)
        return
    _draw(result, look)
    with st.container(horizontal=True):
        again.offer(result)
        named_baselines.offer(result)
    run_parts.downloads(result)
    if run_parts.is_latest():
        run_parts.watch(_NAME, run_id)


def _follow(run_id: str, look: _Look | None) -> None:
    results = service().results
    result = run_parts.followed(run_id, ("joint",), lambda: results.joint(run_id), lambda found: found)
    if result is None or result.state.ended:
        st.rerun()
    else:
        _draw(result, look)


def _choose(result: JointResult) -> _Look | None:
    """Draw which knobs stand along the axes, what is shown, and where the others stand; None where too few vary."""
    knobs = {name: knob for name, knob in joint_knobs(result.points).items() if knob.varies}
    measures = measures_of(result)
    if len(knobs) < 2:
        return None
    titles = {knob.title: name for name, knob in knobs.items()}
    left, middle, right = st.columns(3)
    across = titles[left.selectbox("Across", list(titles), key="joint-x", bind="query-params")]
    rest = {title: name for title, name in titles.items() if name != across}
    up = rest[middle.selectbox("Up", list(rest), key=f"joint-y-{across}", bind="query-params")]
    shown = {title: name for name, title in measures.items()} or {"Total (ms)": _USUAL}
    usual = list(shown.values()).index(_USUAL) if _USUAL in shown.values() else 0
    measure = shown[
        right.selectbox("Shown", list(shown), index=usual, key=f"joint-shown-{len(shown)}", bind="query-params")
    ]
    others = {name: knob for name, knob in knobs.items() if name not in (across, up)}
    held, each = _hold(others)
    return _Look(across, up, measure, held, each)


def _hold(others: dict[str, JointKnob]) -> tuple[dict[str, str], str | None]:
    """Draw where each other knob that varies stands; one of them may have a map for each of its values."""
    held: dict[str, str] = {}
    each = None
    usual = fullest(others)
    for column, (name, knob) in zip(st.columns(max(len(others), 1)), others.items(), strict=False):
        offered = [*knob.order, *([] if each else [_EACH])]
        chosen = column.selectbox(
            plain(knob.title),
            offered,
            index=knob.order.index(usual[name]),
            key=f"joint-held-{name}-{len(offered)}",
            bind="query-params",
        )
        if chosen == _EACH:
            each = name
        else:
            held[name] = chosen
    return held, each


def _draw(result: JointResult, look: _Look | None) -> None:
    st.caption(plain(environment_line(result.run["environment"], result.state, result.run["environments"])))
    knobs = joint_knobs(result.points)
    if len(result.points) < (whole := combinations_of(knobs)):
        st.caption(
            f":material/info: {len(result.points):,} of {whole:,} combinations are among the settings: the other cells "
            "are empty. The page *Trade-off* weighs what was measured and predicts what lies between."
        )
    for note in result.notes:
        st.caption(f":material/info: {plain(note)}")
    run_parts.progress(result)
    shards_view.show(result)
    if result.samples.empty and not result.state.ended:
        st.caption("The first cell appears with the first sample.")
    if look is None:
        st.info("Fewer than two knobs vary in this run: the table has what was measured.")
    elif not result.summary.empty or result.points["accuracy"].notna().any():
        _maps(result, look)
        flags_view.show(result)
    for caution in result.cautions:
        st.caption(f":material/warning: {plain(caution.text)}")
    if result.state.ended:
        cards_view.of_run(result)
    _failures(result)
    _tables(result)


def _maps(result: JointResult, look: _Look) -> None:
    if look.measure not in measures_of(result):
        st.caption("Nothing is known of it yet.")
        return
    key = (look.across, look.up, look.measure, tuple(look.held.items()), look.each)
    drawn, specs, empty = service().results.follows(("maps", key), [result.run["id"]], lambda: _drawn(result, look))
    source = of_figure(provenance(result), HEAT_MAP)
    for start in range(0, len(drawn), _A_ROW):
        row = drawn[start : start + _A_ROW]
        for place, (column, chart) in enumerate(zip(st.columns(len(row)), row, strict=True), start):
            with column:
                name = f"{HEAT_MAP}_{look.measure}_{look.across}_{look.up}_{place + 1}"
                figure_view.draw(chart, name, f"heat-{place}", source=source, spec=specs[place])
    if empty:
        st.caption(f"{counted(empty, 'dashed cell')}: not among the settings, or without a sample.")


def _drawn(result: JointResult, look: _Look) -> tuple[list[alt.LayerChart], list[dict[str, Any]], int]:
    """The heat maps of a look, the same as Vega-Lite, and how many of their cells are empty."""
    knobs, measures = joint_knobs(result.points), measures_of(result)
    values = knobs[look.each].order if look.each else [""]
    panels = {
        f"{knobs[look.each].title} {value}" if look.each else "": heat_cells(
            result, look.across, look.up, look.measure, {**look.held, **({look.each: value} if look.each else {})}
        )
        for value in values
    }
    x, y = knobs[look.across], knobs[look.up]
    drawn = charts.heat_maps(panels, (x.title, y.title, measures[look.measure]), (x.order, y.order))
    empty = sum(int(cells["value"].isna().sum()) for cells in panels.values())
    return drawn, [charts.vega_lite(chart) for chart in drawn], empty


def _failures(result: JointResult) -> None:
    failed = result.points.dropna(subset="failed")
    for reason, points in failed.groupby("failed", sort=False):
        st.warning(plain(f"{'; '.join(points['label'].head(5))}: {reason}"))
    if failure := quality_failure(result.settings):
        st.warning(plain(failure))


def _tables(result: JointResult) -> None:
    results, own = service().results, [result.run["id"]]
    points, order, environment = st.tabs(["Settings", "Samples in order", "Settings and environment"])
    with points:
        tables.figures(results.follows(("joint table",), own, lambda: display_joint(result)), *word_columns())
        st.caption("Medians in milliseconds. Accuracy and KL are means over questions, where quality was recorded.")
        if is_random(result) and has_quality(result.settings):
            st.warning(RANDOM_QUALITY)
    with order:
        if not result.samples.empty:
            stack, specs = results.follows(("joint order",), own, lambda: _in_order(result))
            figure_view.draw_stack(stack, ORDER, "order", of_figure(provenance(result), ORDER), specs)
    with environment:
        run_parts.environment(result)


def _in_order(result: JointResult) -> tuple[charts.Stack, list[dict[str, Any]]]:
    stack = charts.in_order(result.samples, result.settings)
    return stack, [charts.vega_lite(chart) for chart in stack]
