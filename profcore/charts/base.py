"""What every chart shares: colours, sizes, and what is written on axes and in tooltips."""

from __future__ import annotations

import altair as alt
import pandas as pd

from profcore.comparisons.published import PUBLISHED
from profcore.comparisons.side_by_side import FLOOR
from profcore.spec.stages import Stage

# Okabe & Ito's palette (2008): told apart with any colour vision, on a light and a dark ground.
STAGE_COLOURS = {
    Stage.VISION_ENCODER: "#0072B2",
    Stage.PROJECTOR: "#56B4E9",
    Stage.LLM_PREFILL: "#E69F00",
    Stage.LLM_DECODE: "#D55E00",
    Stage.OTHER: "#999999",
}
LINE = "#CC79A7"
FLOOR_INSIDE, FLOOR_AROUND = "#ffffff", "#1a1a1a"
ERROR = "#7f8794"

ENGINE_COLOURS = {
    "eager": "#D55E00",
    "graph": "#0072B2",
    "compiled": "#009E73",
    FLOOR: "#CC79A7",
    PUBLISHED: "#999999",
}
DASHED = (FLOOR, PUBLISHED)
PART_COLOURS = {
    "attention": "#0072B2",
    "router": "#CC79A7",
    "experts": "#D55E00",
    "mlp": "#E69F00",
    "norms": "#009E73",
    "other": "#56B4E9",
    "waiting": "#bdbdbd",
}
SUM_COLOUR, KEPT_COLOUR = "#0072B2", "#d5dbe1"
COMPONENT_COLOURS = {"used by a token": "#0072B2", "other experts": "#b9c7d4"}
SERIES_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999"]
"""Of runs that are set beside each other; as many as can be told apart."""

SCALING_COLOURS = ["#D55E00", "#0072B2", "#009E73", "#999999"]
CROP_COLOUR, OVERLAP_COLOUR = "#F0E442", "#0072B2"
HEIGHT = 380
SMALLEST_ON_LOG_MS = 0.1
CLICK = "bar"
"""Name of the selection that a click on a bar makes; it gives the bar's `setting`."""

DECADES = [factor * 10**power for power in range(-3, 6) for factor in (1, 3)]

# Vega breaks a label into lines where it is an array.
LINES = "split(datum.label, '|')"


def floor_marks(rows: pd.DataFrame, field: str, x: alt.X, title: str, scale: alt.Scale) -> list[alt.Chart]:
    """Where each stage's floor lies, as a line that is seen on any colour and ground."""
    known = rows.dropna(subset=[field])
    known = known[known["floor_ms"] > 0]
    if known.empty:
        return []
    base = alt.Chart(known).encode(
        x=x, y=alt.Y(f"{field}:Q", title=title, scale=scale), tooltip=tooltip_of("stage:N", "Floor of")
    )
    return [
        base.mark_tick(thickness=thickness, color=colour, opacity=1, orient="horizontal", bandSize=24)
        for thickness, colour in ((4, FLOOR_AROUND), (2, FLOOR_INSIDE))
    ]


def label_order(summary: pd.DataFrame) -> list[str]:
    """The settings' labels along the knob."""
    return summary.sort_values(["x", "setting"])["label"].drop_duplicates().tolist()


def error_bars(rows: pd.DataFrame, x: alt.X, title: str, scale: alt.Scale) -> alt.Chart:
    """The 95 % intervals of medians, where there are any."""
    known = rows.dropna(subset=["low", "high"])
    return (
        alt.Chart(known)
        .mark_errorbar(ticks=alt.MarkConfig(size=8), color=ERROR, thickness=1.5)
        .encode(x=x, y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q", tooltip=tooltip_of("stage:N", "Stage"))
    )


def tooltip_of(field: str, title: str) -> list[alt.Tooltip]:
    """What a bar of a sweep says of itself."""
    return [
        alt.Tooltip("title:N", title="Setting"),
        alt.Tooltip(field, title=title),
        alt.Tooltip("median:Q", title="Median (ms)", format=",.3f"),
        alt.Tooltip("low:Q", title="95 % interval from (ms)", format=",.3f"),
        alt.Tooltip("high:Q", title="to (ms)", format=",.3f"),
        alt.Tooltip("n:Q", title="Samples"),
        alt.Tooltip("floor_ms:Q", title="Floor (ms)", format=",.3f"),
        alt.Tooltip("over_floor:Q", title="Median / floor", format=",.2f"),
        alt.Tooltip("binds:N", title="Bound by"),
    ]


def bound_named(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with words where it is not known what binds."""
    return rows.assign(binds=rows["binds"].fillna("not known"))


def is_clickable(chart: alt.LayerChart) -> bool:
    """Whether a click on the chart's bars selects their setting."""
    return chart.params is not alt.Undefined and any(parameter.name == CLICK for parameter in chart.params)


def clicked() -> alt.Parameter:
    """A click on a bar, which names its setting."""
    return alt.selection_point(name=CLICK, fields=["setting"], toggle=False)
