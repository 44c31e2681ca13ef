"""Joules by stage over a knob."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import pandas as pd

from profcore.charts.base import ERROR, HEIGHT, LINE, STAGE_COLOURS, knob_axis, label_order
from profcore.results.energy import PART_LABELS, energy_rows, with_ratios, written_energy
from profcore.spec.stages import MODEL_STAGES
from profcore.stats.digits import written

if TYPE_CHECKING:
    from profcore.results.sweep import Result

_WHOLE = "total"


def energy(result: Result) -> alt.LayerChart:
    """Stacked joules of the stages over the knob, each repeated by itself, and the joules of a whole inference.

    Bars at the whole are what the meter's step leaves open either way.
    """
    rows = energy_rows(with_ratios(result.settings, result.samples))
    rows = rows.assign(
        stage=rows["part"].map(PART_LABELS),
        said=[written_energy(*pair) for pair in zip(rows["joules"], rows["resolution"], strict=True)],
        said_tokens=[written(value) for value in rows["tokens_per_joule"]],
    )
    bars, whole = _stacked(rows[rows["part"] != _WHOLE]), rows[rows["part"] == _WHOLE]
    whole = whole.assign(low=whole["joules"] - whole["resolution"], high=whole["joules"] + whole["resolution"])
    names = {stage.label: STAGE_COLOURS[stage] for stage in MODEL_STAGES} | {PART_LABELS[_WHOLE]: LINE}
    colour = alt.Color(
        "stage:N",
        scale=alt.Scale(domain=list(names), range=list(names.values())),
        legend=alt.Legend(title=None, orient="top", symbolType="square", columns=3, labelLimit=0),
    )
    x, title = knob_axis(label_order(result.settings), result.experiment.axis), "Energy (J)"
    tooltip = [
        alt.Tooltip("title:N", title="Setting"),
        alt.Tooltip("stage:N", title="Of"),
        alt.Tooltip("said:N", title="Energy (J)"),
        alt.Tooltip("said_tokens:N", title="Tokens per joule"),
    ]
    drawn = alt.Chart(bars).mark_bar().encode(x=x, y=alt.Y("start:Q", title=title), y2="end:Q", color=colour)
    base = alt.Chart(whole).encode(x=x, tooltip=tooltip)
    layers = [
        drawn.encode(tooltip=tooltip),
        base.mark_errorbar(ticks=alt.MarkConfig(size=8), color=ERROR).encode(
            y=alt.Y("low:Q", title=title), y2="high:Q"
        ),
        base.mark_point(filled=True, size=60, opacity=1).encode(y=alt.Y("joules:Q", title=title), color=colour),
    ]
    return alt.layer(*layers).properties(height=HEIGHT)


def _stacked(rows: pd.DataFrame) -> pd.DataFrame:
    """Where each stage's part of a bar starts and ends."""
    order = {str(stage): place for place, stage in enumerate(MODEL_STAGES)}
    rows = rows.assign(order=rows["part"].map(order)).sort_values(["setting", "order"])
    end = rows.groupby("setting")["joules"].cumsum()
    return rows.assign(start=end - rows["joules"], end=end)
