"""The best setting within a budget: a slider, the answer in words, and the table to look others up in."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from pages.parts import bar, tables, trade_off_data
from pages.parts.state import service
from pages.parts.text import plain, say_error
from profcore.errors import UserError
from profcore.spec.runs import RunSpec
from profcore.spec.settings import Setting, parse_mask
from profcore.stats.digits import written
from profcore.tradeoff.budget import LIMITED, choice_sentences, choose_setting
from profcore.tradeoff.latencies import METRICS
from profcore.tradeoff.lookup import budgets_over, lookup_json, lookup_table

if TYPE_CHECKING:
    from profcore.tradeoff.points import JointPoints

_PERCENTILES = {"P50": 50.0, "P95": 95.0}
_PROBLEM, _ASKED = "measure problem", "measure asked"


def show(run: dict[str, Any], quality: str) -> None:
    """Draw the budget and what it buys.

    Args:
        run: As `Reader.run`.
        quality: Of `points.QUALITIES`.
    """
    run_id = run["id"]
    whole = trade_off_data.points(run_id)
    first, second, third = st.columns([1.2, 1, 1])
    names = {
        METRICS[metric]: metric for metric in LIMITED if np.isfinite(whole.latencies.percentiles(metric, 50)).any()
    }
    named = first.segmented_control(
        "A budget of", list(names), default=next(iter(names)), required=True, key="budget", bind="query-params"
    )
    metric = names[named or next(iter(names))]
    met = second.segmented_control(
        "Met at", list(_PERCENTILES), default="P95", required=True, key="met-at", bind="query-params"
    )
    percentile = _PERCENTILES[met or "P95"]
    tokens = None
    lengths = sorted(int(each) for each in whole.table["output_tokens"].dropna().unique())
    if metric == "total_ms" and len(lengths) > 1:
        with third:
            tokens = st.selectbox("At output tokens", lengths, index=len(lengths) - 1, key=f"tokens-{run_id}")
    points, rows = trade_off_data.offered(run_id, tokens, percentile, quality)
    limit = _slider(rows[metric].to_numpy(dtype=float), metric)
    try:
        choice = choose_setting(points, {metric: limit}, percentile, quality, rows=rows)
    except UserError as error:
        say_error(error)
    else:
        said = choice_sentences(choice)
        st.markdown(f"**{plain(said[0])}**\n\n" + "\n".join(f"- {plain(sentence)}" for sentence in said[1:]))
        if not choice.best["measured"]:
            _offer_to_measure(run, choice.best)
    _lookup(points, metric, percentile, quality, run_id)


def _slider(latencies: np.ndarray, metric: str) -> float:
    """Draw the budget in milliseconds, from a little below the fastest setting to the slowest."""
    least, most = float(np.nanmin(latencies)), float(np.nanmax(latencies))
    # A step that has as many digits as a budget deserves, of which a hundred or two reach from end to end.
    step = float(10 ** math.floor(math.log10(max(most - least, most / 100) / 50)))
    low, high = math.floor(0.95 * least / step) * step, math.ceil(most / step) * step
    key = metric.replace("_", "-")
    # Another run, percentile or length has other ends.
    if key in st.session_state:
        st.session_state[key] = min(max(float(st.session_state[key]), low), high)
    else:
        st.session_state[key] = round((least + most) / 2 / step) * step
    # As many decimals as the step has: the sentence below names the budget that the slider shows.
    decimals = f"%.{max(0, -math.floor(math.log10(step)))}f"
    return st.slider(f"{METRICS[metric]} (ms)", low, high, step=step, format=decimals, key=key, bind="query-params")


def _offer_to_measure(run: dict[str, Any], best: dict[str, Any]) -> None:
    """A button that measures a predicted setting as its run was, on what the bar on the left says."""
    if problem := st.session_state.pop(_PROBLEM, ""):
        say_error(problem)
    setting = _setting(best)
    if not run["spec"] or setting is None:
        st.caption("What this run was asked for is not known, so that the setting cannot be measured from here.")
        return
    st.button(
        "Measure it",
        icon=":material/play_arrow:",
        key="measure-predicted",
        on_click=_measure,
        args=(run["id"], run["spec"], setting),
        disabled=bool(bar.problem()),
        help="Measures this setting as its run was, on what the bar on the left says. It is a run of its own.",
    )
    if asked := st.session_state.pop(_ASKED, ""):
        st.caption(f"Queued as run {plain(asked)}.")


def _setting(best: dict[str, Any]) -> Setting | None:
    grid, mask = best.get("grid"), best.get("block_mask")
    if not isinstance(grid, str) or not isinstance(mask, str):
        return None
    rows, columns = grid.split("×")
    return Setting((int(rows), int(columns)), int(best["top_k"]), parse_mask(mask), int(best["output_tokens"]))


def _measure(run_id: str, spec: dict[str, Any], setting: Setting) -> None:
    try:
        sweep = replace(RunSpec.from_dict(spec).sweep, settings=(setting,), plan=None, clock=bar.clock())
        st.session_state[_ASKED] = service().start(bar.target(), sweep, bar.devices())
        # The run that is shown stays, although there is a later one now.
        st.session_state["run"] = run_id
    except UserError as error:
        st.session_state[_PROBLEM] = str(error)


def _lookup(points: JointPoints, metric: str, percentile: float, quality: str, run_id: str) -> None:
    """The best measured setting for each of eight budgets."""
    with st.expander("Lookup table", icon=":material/table:"):
        table = lookup_table(points, budgets_over(points, metric, percentile), metric, percentile, quality)
        shown = table.assign(**{name: [written(value) for value in table[name]] for name in ("budget", "latency")})
        shown = shown[["budget", "latency", "label", "num_samples"]].rename(
            columns={"budget": "budget (ms)", "latency": f"{METRICS[metric]} (ms)", "label": "setting"}
        )
        tables.figures(shown.rename(columns={"num_samples": "samples"}), "setting")
        st.caption("Measured settings alone. A setting answers a budget that it exceeds by at most 5 %.")
        st.download_button(
            "Lookup table, JSON",
            lambda: lookup_json(table),
            f"lookup_table_{run_id}_{metric}.json",
            "application/json",
            key="get-lookup",
            icon=":material/download:",
            on_click="ignore",
        )
