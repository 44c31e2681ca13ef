"""Blocks: which run, how important each is, and latency beside quality."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import pandas as pd

from profcore.charts.base import HEIGHT, INK, KEPT_COLOUR, LINE, SUM_COLOUR, with_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.experiments.block_choice import Scores

_ROW = 18
# A page counts what is around the marks into a chart's height: legend, labels and title.
_AROUND = 150


def masks(given: Sequence[str]) -> alt.LayerChart:
    """Which blocks run under each mask, a row for each; blocks are counted from 0.

    Args:
        given: Masks of ones and zeros, first block first.
    """
    rows = [
        {"row": row, "block": block, "state": "runs" if flag == "1" else "skipped", "active": mask.count("1")}
        for row, mask in enumerate(given)
        for block, flag in enumerate(mask)
    ]
    apart = alt.Scale(type="band", paddingInner=0.08)
    chart = (
        alt.Chart(pd.DataFrame(rows))
        .mark_rect()
        .encode(
            x=alt.X(
                "block:O", title="Transformer block", scale=apart, axis=alt.Axis(labelAngle=0, labelOverlap="greedy")
            ),
            y=alt.Y("row:O", title="Setting", scale=apart, axis=alt.Axis(labels=False, ticks=False)),
            color=alt.Color(
                "state:N",
                scale=alt.Scale(domain=["runs", "skipped"], range=[SUM_COLOUR, KEPT_COLOUR]),
                legend=alt.Legend(title=None, orient="top", symbolType="square"),
            ),
            # What is skipped lets the ground through, which is calm on a light one and on a dark one.
            opacity=alt.Opacity("state:N", scale=alt.Scale(domain=["runs", "skipped"], range=[1, 0.35]), legend=None),
            tooltip=[
                alt.Tooltip("block:O", title="Block"),
                alt.Tooltip("state:N", title="It"),
                alt.Tooltip("active:Q", title="Active blocks of this setting"),
            ],
        )
    )
    return alt.layer(chart).properties(height=_ROW * len(given) + _AROUND)


def importance(scores: Scores, total: int) -> alt.LayerChart:
    """The score of each block; those without one are always kept.

    Args:
        scores: By block, from 0.
        total: How many blocks the model has.
    """
    rows = pd.DataFrame({"block": list(scores), "score": list(scores.values())})
    x = alt.X("block:O", title="Transformer block", scale=alt.Scale(domain=list(range(total))))
    chart = (
        alt.Chart(rows)
        .mark_bar(color=SUM_COLOUR)
        .encode(
            x=x,
            y=alt.Y("score:Q", title="Importance"),
            tooltip=[alt.Tooltip("block:O", title="Block"), alt.Tooltip("score:Q", title="Score", format=",.5f")],
        )
    )
    return alt.layer(chart).properties(height=HEIGHT // 2)


def quality(summary: pd.DataFrame, settings: pd.DataFrame, measure: str) -> alt.LayerChart:
    """Each setting's latency over what it costs in quality.

    Args:
        summary: As `Result.summary`.
        settings: As `Result.settings`, with `kl` and `accuracy`.
        measure: 'kl' or 'accuracy'.
    """
    totals = summary.loc[summary["metric"] == "total_ms", ["setting", "median", "low", "high", "n"]]
    named = settings[["setting", "x", "label", "title", "kl", "accuracy"]]
    rows = totals.merge(named, on="setting").dropna(subset=[measure]).sort_values(["x", "setting"])
    # Settings of equally many blocks are told apart by their masks, and no line joins them.
    rows = with_words(rows.assign(line=rows.groupby("x").cumcount()))
    titles = {"kl": "KL divergence from the full model (nats)", "accuracy": "VQA accuracy"}
    x = alt.X(f"{measure}:Q", title=titles[measure], axis=alt.Axis(format="%" if measure == "accuracy" else "~g"))
    y = alt.Y("median:Q", title="Total latency (ms)", scale=alt.Scale(zero=True))
    tooltip = [
        alt.Tooltip("title:N", title="Setting"),
        alt.Tooltip(f"{measure}:Q", title=titles[measure], format=",.5f"),
        alt.Tooltip("said_median:N", title="Median (ms)"),
        alt.Tooltip("said_interval:N", title="95 % interval (ms)"),
        alt.Tooltip("n:Q", title="Samples"),
    ]
    base = alt.Chart(rows).encode(x=x, y=y, tooltip=tooltip)
    line = base.mark_line(color=LINE, strokeWidth=1.5).encode(order="x:Q", detail="line:N")
    points = base.mark_point(color=SUM_COLOUR, filled=True, size=60, opacity=1)
    labels = base.mark_text(align="left", dx=7, dy=-6, color=INK, lineBreak="|").encode(text="label:N")
    return alt.layer(line, points, labels).properties(height=HEIGHT)
