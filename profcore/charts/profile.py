"""Where one profiled setting's time goes."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from profcore.charts.base import DIGITS, FLOOR_COLOUR, FLOOR_EDGE, FLOOR_NAME, LINES, PART_COLOURS
from profcore.spec.stages import Stage
from profcore.spec.text import counted


def parts(profile: dict[str, Any]) -> alt.LayerChart:
    """A bar for each stage of a profiled setting: time in kernels by part, and the rest, in which the device waits.

    Args:
        profile: As `measure.profile.explain` gives it.
    """
    rows, marks = [], []
    for stage in profile["stages"]:
        label = Stage(stage["stage"]).label
        if stage["stage"] == Stage.LLM_DECODE:
            label += f"|{counted(profile['steps'], 'step')}"
        own = [part for part in profile["parts"] if part["stage"] == stage["stage"]]
        waiting = max(stage["measured_ms"] - sum(part["ms"] for part in own), 0.0)
        at = 0.0
        for part in (*own, {"part": "waiting", "ms": waiting, "kernels": 0}):
            share = part["ms"] / stage["measured_ms"]
            end = at + part["ms"]
            rows.append({"label": label, "share": share, "start": at, "end": end, **part})
            at = end
        marks.append({"label": label, "floor_ms": stage["floor_ms"]})
    order = [mark["label"] for mark in marks]
    present = [part for part in PART_COLOURS if any(row["part"] == part and row["ms"] for row in rows)]
    y = alt.Y("label:N", sort=order, title=None, axis=alt.Axis(labelExpr=LINES, labelLimit=120))
    colours = {part: PART_COLOURS[part] for part in present} | {FLOOR_NAME: FLOOR_COLOUR}
    colour = alt.Color(
        "part:N",
        scale=alt.Scale(domain=list(colours), range=list(colours.values())),
        legend=alt.Legend(title=None, orient="top", symbolType="square", columns=3),
    )
    bars = (
        alt.Chart(pd.DataFrame(rows))
        .mark_bar()
        .encode(
            y=y,
            x=alt.X("start:Q", title="Time (ms)"),
            x2="end:Q",
            color=colour,
            tooltip=[
                alt.Tooltip("part:N", title="Part"),
                alt.Tooltip("ms:Q", title="Time (ms)", format=DIGITS),
                alt.Tooltip("share:Q", title="Share of the stage", format=".0%"),
                alt.Tooltip("kernels:Q", title="Kernels"),
            ],
        )
    )
    base = alt.Chart(pd.DataFrame(marks).assign(part=FLOOR_NAME)).encode(
        y=y, x="floor_ms:Q", tooltip=[alt.Tooltip("floor_ms:Q", title="Floor (ms)", format=DIGITS)]
    )
    tick = {"opacity": 1, "orient": "vertical", "bandSize": 34}
    floors = [
        base.mark_tick(thickness=5, color=FLOOR_EDGE, **tick),
        base.mark_tick(thickness=3, **tick).encode(color=colour),
    ]
    return alt.layer(bars, *floors).properties(height=70 * len(order) + 60)
