"""Where one profiled setting's time goes."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from profcore.charts.base import FLOOR_AROUND, FLOOR_INSIDE, LINES, PART_COLOURS
from profcore.spec.stages import Stage


def parts(profile: dict[str, Any]) -> alt.LayerChart:
    """A bar for each stage of a profiled setting: time in kernels by part, and the rest, in which the device waits.

    Args:
        profile: As `measure.profile.explain` gives it.
    """
    rows, marks = [], []
    for stage in profile["stages"]:
        label = Stage(stage["stage"]).label
        if stage["stage"] == Stage.LLM_DECODE:
            label += f"|{profile['steps']} steps"
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
    bars = (
        alt.Chart(pd.DataFrame(rows))
        .mark_bar()
        .encode(
            y=y,
            x=alt.X("start:Q", title="Time (ms)"),
            x2="end:Q",
            color=alt.Color(
                "part:N",
                scale=alt.Scale(domain=present, range=[PART_COLOURS[part] for part in present]),
                legend=alt.Legend(title=None, orient="top", symbolType="square"),
            ),
            tooltip=[
                alt.Tooltip("part:N", title="Part"),
                alt.Tooltip("ms:Q", title="Time (ms)", format=",.3f"),
                alt.Tooltip("share:Q", title="Share of the stage", format=".0%"),
                alt.Tooltip("kernels:Q", title="Kernels"),
            ],
        )
    )
    base = alt.Chart(pd.DataFrame(marks)).encode(
        y=y, x="floor_ms:Q", tooltip=[alt.Tooltip("floor_ms:Q", title="Floor (ms)", format=",.3f")]
    )
    floors = [
        base.mark_tick(thickness=thickness, color=colour, opacity=1, orient="vertical", bandSize=34)
        for thickness, colour in ((4, FLOOR_AROUND), (2, FLOOR_INSIDE))
    ]
    return alt.layer(bars, *floors).properties(height=70 * len(order) + 60)
