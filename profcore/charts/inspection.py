"""What inspection tools draw: which experts tokens are routed to, and how patches become tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd

from profcore.charts.base import SUM_COLOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

_SIDE = 360


def routing(found: dict[str, Any]) -> alt.LayerChart:
    """A heat map of the share of tokens that each expert of each block has.

    Args:
        found: As `inspectors.topk.describe`.
    """
    tokens = found["tokens"]
    rows = [
        {"block": block, "expert": expert, "share": load / tokens, "tokens": load, "distinct": found["distinct"][block]}
        for block, loads in enumerate(found["load"])
        for expert, load in enumerate(loads)
    ]
    chart = (
        alt.Chart(pd.DataFrame(rows))
        .mark_rect()
        .encode(
            x=alt.X("expert:O", title="Expert", axis=alt.Axis(labelAngle=0, labelOverlap="greedy")),
            y=alt.Y("block:O", title="Transformer block"),
            color=alt.Color(
                "share:Q",
                title="Share of tokens",
                scale=alt.Scale(scheme="viridis"),
                legend=alt.Legend(orient="top", format=".0%"),
            ),
            tooltip=[
                alt.Tooltip("block:O", title="Block"),
                alt.Tooltip("expert:O", title="Expert"),
                alt.Tooltip("tokens:Q", title="Tokens"),
                alt.Tooltip("share:Q", title="Share of tokens", format=".1%"),
                alt.Tooltip("distinct:Q", title="Distinct experts in this block"),
            ],
        )
    )
    return alt.layer(chart).properties(height=_SIDE)


def pooling(kept: Sequence[Sequence[int]], window: int) -> alt.LayerChart:
    """A crop's patches and the windows of them that become tokens; windows whose token is dropped are faint.

    Args:
        kept: For each token of a crop whether it is kept, row by row.
        window: Patches along a side of a window.
    """
    tokens = [
        {
            "left": column * window,
            "right": (column + 1) * window,
            "top": row * window,
            "bottom": (row + 1) * window,
            "opacity": 0.75 if flag else 0.12,
            "kept": "kept" if flag else "dropped",
        }
        for row, flags in enumerate(kept)
        for column, flag in enumerate(flags)
    ]
    side = len(kept) * window
    lines = pd.DataFrame({"at": range(side + 1), "start": 0, "end": side})
    x_scale, y_scale = alt.Scale(domain=[0, side], nice=False), alt.Scale(domain=[side, 0], nice=False)
    ticks = alt.Axis(values=list(range(0, side + 1, 2 * window)), grid=False)
    x = alt.X("left:Q", title="Patch column", scale=x_scale, axis=ticks)
    y = alt.Y("top:Q", title="Patch row", scale=y_scale, axis=ticks)
    boxes = (
        alt.Chart(pd.DataFrame(tokens))
        .mark_rect(color=SUM_COLOUR, stroke="white", strokeWidth=2.5)
        .encode(
            x=x,
            x2="right",
            y=y,
            y2="bottom",
            opacity=alt.Opacity("opacity:Q", scale=None),
            tooltip=[alt.Tooltip("kept:N", title="Token")],
        )
    )
    base = alt.Chart(lines)
    thin: dict[str, Any] = {"color": "white", "strokeWidth": 0.5, "opacity": 0.7}
    upright = base.mark_rule(**thin).encode(x=alt.X("at:Q", scale=x_scale), y=alt.Y("start:Q", scale=y_scale), y2="end")
    level = base.mark_rule(**thin).encode(y=alt.Y("at:Q", scale=y_scale), x=alt.X("start:Q", scale=x_scale), x2="end")
    return alt.layer(boxes, upright, level).properties(width=_SIDE, height=_SIDE)
