"""A knob's sweep at a glance: few words, small enough to stand beside others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt

from profcore.charts.base import (
    FLOOR_COLOUR,
    FLOOR_NAME,
    STAGE_COLOURS,
    bound_named,
    floor_marks,
    tooltip_of,
    with_words,
)
from profcore.charts.sweep import stacked
from profcore.spec.stages import MODEL_STAGES, TTFT_STAGES, Knob

if TYPE_CHECKING:
    import pandas as pd

    from profcore.experiments.knobs import Experiment

_HEIGHT = 210
_MARK = 12
_LEFT, _ABOVE, _PADDING = 34, 10, 4
_TEXT: dict[str, Any] = {"labelFontSize": 11, "titleFontSize": 11, "labelPadding": _PADDING, "titlePadding": 2}


def small(summary: pd.DataFrame, experiment: Experiment) -> alt.LayerChart:
    """Stacked bars of stage medians over the knob, each with the floor of the whole.

    Args:
        summary: As `Result.summary`.
        experiment: Whose knob is on the axis: a picture's until the first token, any other's the whole answer.
    """
    until_first = experiment.knob is Knob.VISION_TOKENS
    stages, whole = (TTFT_STAGES, "ttft_ms") if until_first else (MODEL_STAGES, "total_ms")
    bars = with_words(_named(stacked(summary, stages)))
    rows = _named(bound_named(summary[summary["metric"] == whole]))
    order = bars.sort_values(["x", "setting"])["label"].drop_duplicates().tolist()
    title = "TTFT (ms)" if until_first else "Total (ms)"
    axis = alt.Axis(labelAngle=0, labelOverlap="greedy", **_TEXT)
    x = alt.X("label:N", sort=order, title=experiment.axis.partition(" (")[0], axis=axis)
    # Its title lies flat above it, where it takes no width from the bars.
    flat = {"titleAngle": 0, "titleAlign": "left", "titleAnchor": "end", "titleX": -_LEFT, "titleY": -_ABOVE}
    y_axis = alt.Axis(tickCount=4, minExtent=_LEFT - _PADDING, maxExtent=_LEFT - _PADDING, **_TEXT, **flat)
    colours = {stage.label: STAGE_COLOURS[stage] for stage in stages}
    if (rows["floor_ms"] > 0).any():
        colours[FLOOR_NAME] = FLOOR_COLOUR
    colour = alt.Color(
        "stage:N",
        scale=alt.Scale(domain=list(colours), range=list(colours.values())),
        legend=alt.Legend(
            title=None,
            orient="bottom",
            # Two would be cut off where four charts share a narrow window.
            columns=1,
            symbolType="square",
            symbolSize=50,
            labelFontSize=_TEXT["labelFontSize"],
            rowPadding=1,
            columnPadding=4,
            padding=0,
            offset=4,
        ),
    )
    stack = (
        alt.Chart(bars)
        .mark_bar()
        .encode(
            x=x,
            y=alt.Y("start:Q", title=title, axis=y_axis),
            y2="end:Q",
            color=colour,
            tooltip=tooltip_of("stage:N", "Stage"),
        )
    )
    floors = floor_marks(rows, x, alt.Y("floor_ms:Q", title=title, axis=y_axis), colour, FLOOR_NAME, width=_MARK)
    return alt.layer(stack, *floors).properties(height=_HEIGHT, padding={"left": 0, "right": 2, "top": 0, "bottom": 0})


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with labels of one line; a mask stays apart from the first blocks of as many."""
    first, _, rest = (rows["label"].str.partition("|")[part] for part in range(3))
    return rows.assign(label=first.where(~rest.str.fullmatch("[01]+"), first + " " + rest))
