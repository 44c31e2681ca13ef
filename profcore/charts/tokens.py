"""What charts over a number of tokens share: their axes, the circles of single pictures, medians with intervals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import altair as alt

from profcore.charts.base import DECADES, DIGITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


@dataclass(frozen=True)
class TokenAxes:
    """Tokens against latency.

    Attributes:
        tokens: Title of the axis of tokens.
        latency: Title of the axis of latency.
        log: Whether both are logarithmic.
        places: Numbers of tokens that a logarithmic axis is marked at; Vega's own choice unless given.
    """

    tokens: str
    latency: str
    log: bool
    places: Sequence[float] = field(default=())

    @property
    def x(self) -> alt.X:
        """The axis of tokens."""
        scale = alt.Scale(type="log", base=2, nice=False, padding=14) if self.log else alt.Scale(zero=False, padding=14)
        marked: dict[str, Any] = {"values": list(self.places)} if self.places else {}
        axis = alt.Axis(format="d", **marked) if self.log else alt.Axis()
        return alt.X("x:Q", title=self.tokens, scale=scale, axis=axis)

    def y(self, column: str) -> alt.Y:
        """The axis of latency, with what is drawn on it."""
        scale = alt.Scale(type="log", nice=False, padding=14) if self.log else alt.Scale(zero=True)
        axis = alt.Axis(values=DECADES, format="~r") if self.log else alt.Axis()
        return alt.Y(f"{column}:Q", title=self.latency, scale=scale, axis=axis)


def circles(points: pd.DataFrame, axes: TokenAxes, colour: alt.Color, more: Sequence[alt.Tooltip]) -> alt.Chart:
    """Single pictures.

    Args:
        points: `x`, `value`, and the columns that colour and tooltips name.
        axes: Where they lie.
        colour: What tells series apart.
        more: What a circle says of itself besides its place.
    """
    place = [
        alt.Tooltip("x:Q", title=axes.tokens),
        alt.Tooltip("value:Q", title="Median (ms)", format=DIGITS),
    ]
    return (
        alt.Chart(points)
        .mark_circle(size=30, opacity=0.4)
        .encode(x=axes.x, y=axes.y("value"), color=colour, tooltip=[*more, *place])
    )


def median_tooltip(axes: TokenAxes, first: alt.Tooltip, counted: str) -> list[alt.Tooltip]:
    """What a median says of itself, of rows as `with_words` gives them: first what it is of, last how many it is of."""
    return [
        first,
        alt.Tooltip("x:Q", title=axes.tokens),
        alt.Tooltip("said_median:N", title="Median (ms)"),
        alt.Tooltip("said_interval:N", title="95 % interval (ms)"),
        alt.Tooltip("n:Q", title=counted),
    ]


def intervals(medians: pd.DataFrame, axes: TokenAxes, colour: alt.Color, tooltip: Sequence[alt.Tooltip]) -> alt.Chart:
    """The 95 % intervals of medians, where there are any."""
    return (
        alt.Chart(medians.dropna(subset=["low", "high"]))
        .mark_errorbar(thickness=1.5)
        .encode(x=axes.x, y=axes.y("low"), y2="high:Q", color=colour, tooltip=list(tooltip))
    )
