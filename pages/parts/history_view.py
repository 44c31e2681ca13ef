"""The history of an experiment: which runs, the chart, and what changed from each to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.parts import address, figure_view, leads, named_baselines, tables
from pages.parts.state import service
from pages.parts.text import plain
from profcore import charts
from profcore.comparisons.history import CHANGES, histories, history, settings_of, since_the_first
from profcore.comparisons.regression import LATENCIES
from profcore.comparisons.runs import MARGIN
from profcore.comparisons.versions import VERSIONS, moved_to
from profcore.spec.text import brief, counted
from profcore.stats import METRIC_LABELS
from profcore.stats.digits import MISSING, written, written_interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from profcore.comparisons.history import Change
    from profcore.results.base import MeasuredRun

_MOST = 40
_ALL = "over all settings"
_DECIMALS = 4
_EXPERIMENT, _GROUP, _SETTING = "history-of", "alike", "history-setting"


def show() -> None:
    """Draw the choice of an experiment, of the runs that are alike, of a latency and a setting, and their history."""
    runs = service().runs()
    runs = runs[(runs["num_samples"] > 0) & ~runs["archived"] & ~runs["state"].isin(["queued", "running"])]
    if runs.empty:
        st.info("Nothing has been measured here yet: choose values on a knob's page and press **Run**.")
        return
    counts = runs["experiment"].value_counts()
    titles = dict(zip(runs["experiment"], runs["title_of_experiment"], strict=True))
    left, right = st.columns([2, 3])
    named = {str(name): f"{titles[name]} ({counted(int(number), 'run')})" for name, number in counts.items()}
    experiment = _choose_experiment(left, named)
    group = _choose_group(right, runs[runs["experiment"] == experiment])
    if group is None:
        st.info("None of these runs says what it was measured on, so that none can be told from another's.")
        return
    _history(group)


def _choose_experiment(place: st.delta_generator.DeltaGenerator, named: dict[str, str]) -> str:
    """Draw the choice of an experiment, which the address knows by its own name: how many runs it has changes."""
    asked, first = st.query_params.get("of"), next(iter(named))
    if asked is not None and asked not in named:
        st.warning(f"There is nothing here of what the link names ({plain(brief(asked))}): another is shown.")
    address.settle("of", _EXPERIMENT, asked if asked in named else first)
    if st.session_state[_EXPERIMENT] not in named:
        st.session_state[_EXPERIMENT] = first
    chosen = place.selectbox("Experiment", list(named), format_func=lambda name: named[name], key=_EXPERIMENT)
    address.keep(of=None if chosen == first else chosen)
    return chosen


def _choose_group(place: st.delta_generator.DeltaGenerator, runs: pd.DataFrame) -> list[MeasuredRun] | None:
    """Draw the choice among runs that were measured alike, of the newest of an experiment."""
    newest = runs.sort_values("created_at", ascending=False)["id"].tolist()
    if len(newest) > _MOST:
        st.caption(f"Of {len(newest)} runs the newest {_MOST} are looked at.")
    shown = newest[:_MOST]
    groups = service().results.follows(("histories", tuple(shown)), shown, lambda: _groups(shown))
    if not groups:
        return None
    newest_of = {group[-1].run["id"]: group for group in groups}
    # A link names any run of a history.
    asked = st.query_params.get("run")
    holding = (name for name, group in newest_of.items() if any(run.run["id"] == asked for run in group))
    first, known = next(iter(newest_of)), next(holding, None)
    if asked is not None and known is None:
        st.warning(f"There is no such run here as the link names ({plain(brief(asked))}): others are shown.")
    address.settle("run", _GROUP, known or first)
    if st.session_state[_GROUP] not in newest_of:
        st.session_state[_GROUP] = first
    named = {name: _group_name(group) for name, group in newest_of.items()}
    chosen = place.selectbox("Measured alike", list(named), format_func=lambda name: named[name], key=_GROUP)
    address.keep(run=None if chosen == first else chosen)
    return newest_of[chosen or first]


def _groups(run_ids: list[str]) -> list[list[MeasuredRun]]:
    return histories([run for run_id in run_ids if (run := service().results.any(run_id)) is not None])


def _group_name(group: list[MeasuredRun]) -> str:
    environment = group[-1].run["environment"]
    said = [environment.get(name) for name in ("device_name", "model", "dtype")]
    words = [*(str(each) for each in said if each), f"{environment.get('engine')} engine"]
    # Two groups that are alike in these differ in what is asked, which the newest run of each tells.
    return f"{', '.join(words)}: {counted(len(group), 'run')} up to {group[-1].run['id']}"


def _history(group: list[MeasuredRun]) -> None:
    """Draw the history of runs that were measured alike."""
    first, second, third = st.columns([3, 2, 1], vertical_alignment="bottom")
    labels = {METRIC_LABELS[metric]: metric for metric in LATENCIES.values()}
    address.begin_anew("latency", labels)
    latency = first.segmented_control(
        "Latency", list(labels), default="Total", required=True, key="latency", bind="query-params", wrap=True
    )
    settings = [_ALL, *settings_of(group)]
    address.settle("setting", _SETTING, st.query_params.get("setting", _ALL))
    if st.session_state[_SETTING] not in settings:
        st.caption(
            f":material/info: These runs have no setting {plain(brief(st.session_state[_SETTING]))}: all are shown."
        )
        st.session_state[_SETTING] = _ALL
    setting = second.selectbox("Setting", settings, key=_SETTING)
    address.keep(setting=None if setting == _ALL else setting)
    margin = third.number_input(
        "Counts from (%)",
        0.1,
        50.0,
        100 * MARGIN,
        0.5,
        key="margin",
        bind="query-params",
        help="A change whose whole interval lies within this is the same.",
    )
    metric, of_all = labels[latency or "Total"], setting in (None, _ALL)
    title, spreads = None if of_all else setting, service().spreads()
    known = tuple((key, metric, each) for key, found in spreads.items() if (each := found.get(metric)))
    rows, since = service().results.follows(
        ("history", metric, title, margin, known),
        [run.run["id"] for run in group],
        lambda: (
            history(group, metric, title, margin / 100, spreads),
            since_the_first(group, metric, title, margin / 100, spreads),
        ),
    )
    if rows.empty:
        st.info("No run knows this latency at this setting.")
        return
    named = named_baselines.of_runs()
    rows = rows.assign(baseline=[", ".join(named.get(run, [])) for run in rows["run"]])
    _say(rows)
    _say_since(since)
    if len(rows) > 1:
        name = f"history_{metric.removesuffix('_ms')}"
        figure_view.draw(charts.history(rows, metric, of_all), name, "history")
    experiment = group[-1].run["experiment"]
    tables.figures(_table(rows, of_all), "run", "change", "baseline", *VERSIONS)
    _offer_baselines(group)
    file, query = leads.lead(experiment, group[-1].run["id"])
    st.page_link(file, label="Open the newest run", icon=":material/open_in_full:", query_params=query)
    st.caption(
        "Ratio: to the run before, there or over all that both have. All ratios' intervals hold together in 95 %. "
        "*Slower* or *faster* where one lies on one side of 1 and not within the margin, *same* where it lies within "
        "the margin, *undecided* where it is too wide for either. Where it is not known how far "
        "processes differ, another process alone may show a change: `python -m profcore repeat` measures that."
    )


def _offer_baselines(group: list[MeasuredRun]) -> None:
    """Draw the choice of a run of the history, the newest unless another is chosen, and what makes it a baseline."""
    newest = {run.run["id"]: run for run in reversed(group)}
    choosing, setting = st.columns([3, 2], vertical_alignment="bottom")
    chosen = choosing.selectbox("Run to be a baseline", list(newest), key=f"baseline-of-{group[-1].run['id']}")
    with setting:
        named_baselines.offer(newest[chosen or group[-1].run["id"]], "history")


def _say(rows: pd.DataFrame) -> None:
    """Say what changed."""
    changed = rows[rows["change"].isin(CHANGES)]
    if len(rows) < 2:
        st.info("One run has no history yet: measure the same again, under another version or on another day.")
        return
    open_ = int((rows["change"] == "undecided").sum())
    if changed.empty and open_:
        st.markdown(
            f"**Undecided**: the intervals show no change from run to run, and at {open_:d} of {len(rows) - 1} steps "
            "they are too wide to say that there is none beyond the margin. More samples narrow them."
        )
    elif changed.empty:
        st.markdown(f"**The same from run to run** ({counted(len(rows), 'run')}): every step lies within the margin.")
    for row in changed.to_dict("records")[-3:]:
        before = rows.loc[: rows.index[rows["run"] == row["run"]][0]].iloc[-2].to_dict()
        times = f"{row['ratio']:.4f} × the run before, {row['ratio_low']:.4f} to {row['ratio_high']:.4f}"
        st.markdown(
            f"**{plain(row['run'])} is {plain(row['change'])}**: {plain(times)} ({plain(_what_differs(before, row))})."
        )
    if open_ and not changed.empty:
        st.caption(
            f"At {open_:d} of {len(rows) - 1} steps the interval is too wide to say whether anything changed: more "
            "samples narrow it."
        )


def _what_differs(before: Mapping[Any, Any], row: Mapping[Any, Any]) -> str:
    """What is another than in the run before, of what is recorded."""
    said = [f"{name} {before[name]} → {row[name]}" for name in (*VERSIONS, "commit") if before[name] != row[name]]
    if moved := moved_to(before, row):
        said.append(f"on another {' and '.join(moved)}")
    return ", ".join(said) or "no version, commit, host or card that is recorded differs"


def _say_since(since: Change | None) -> None:
    """Say where the newest run stands against the first: small steps add up."""
    if since is None:
        return
    times = f"{since.ratio:.4f} × the first, {since.low:.4f} to {since.high:.4f}"
    if since.verdict in CHANGES:
        st.markdown(f"**Since the first run it is {plain(since.verdict)}**: {plain(times)}.")
    elif since.verdict == "same":
        st.markdown(f"Since the first run it is the same within the margin: {plain(times)}.")
    else:
        st.markdown("Whether it is another than in the first run is undecided: the interval is too wide to tell.")


def _table(rows: pd.DataFrame, of_all: bool) -> pd.DataFrame:
    """The history as a table for people, newest first."""
    newest = rows.iloc[::-1]
    known = [name for name in VERSIONS if newest[name].notna().any()]
    frame = newest[["run"]].copy()
    frame["times the first" if of_all else "median (ms)"] = [written(value) for value in newest["value"]]
    frame["95 % interval"] = _intervals(newest, "low", "high")
    frame["ratio"] = [written(value, _DECIMALS) for value in newest["ratio"]]
    frame["its interval"] = _intervals(newest, "ratio_low", "ratio_high", _DECIMALS)
    frame["change"] = newest["change"]
    if (newest["baseline"] != "").any():
        frame["baseline"] = newest["baseline"]
    return frame.join(newest[known].astype(object).where(newest[known].notna(), MISSING))


def _intervals(rows: pd.DataFrame, low: str, high: str, places: int | None = None) -> list[str]:
    return [written_interval(*ends, places) for ends in zip(rows[low], rows[high], strict=True)]
