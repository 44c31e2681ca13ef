"""What every chart shares: colours, sizes, and what is written on axes and in tooltips."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd

from profcore.comparisons.engines import FLOOR
from profcore.comparisons.published import PUBLISHED
from profcore.roofline.cost import NEITHER
from profcore.spec.stages import Knob, Stage
from profcore.stats.digits import decimals, written, written_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from profcore.experiments.knobs import Experiment

# Okabe & Ito's palette (2008): told apart with any colour vision, on a light and a dark ground.
STAGE_COLOURS = {
    Stage.VISION_ENCODER: "#0072B2",
    Stage.PROJECTOR: "#56B4E9",
    Stage.LLM_PREFILL: "#E69F00",
    Stage.LLM_DECODE: "#D55E00",
    Stage.OTHER: "#999999",
}
DOUBLED = (Knob.TOP_K, Knob.OUTPUT_TOKENS)
"""Knobs whose values grow by factors."""

LINE = "#CC79A7"
FLOOR_NAME = "Floor"
"""What the physical floor is called in a legend."""

FLOOR_COLOUR, FLOOR_EDGE = "#F0E442", "#1a1a1a"
ERROR = "#7f8794"
INK = "currentColor"
"""Of text: the page's own, so that it reads as well on a dark ground as on a light one; black in a saved figure."""

FAINT = "#555555"
"""Of what stands under a saved figure, on its white ground."""

ENGINE_COLOURS = {
    "eager": "#D55E00",
    "graph": "#0072B2",
    "compiled": "#009E73",
    "generate": "#8C564B",
    FLOOR: "#CC79A7",
    PUBLISHED: "#999999",
}
DASHED = (FLOOR, PUBLISHED)
PART_COLOURS = {
    "attention": "#0072B2",
    "router": "#CC79A7",
    "experts": "#D55E00",
    "mlp": "#E69F00",
    "matrix products": "#8C564B",
    "activation": "#7A4FA3",
    "norms": "#009E73",
    "other": "#56B4E9",
    "waiting": "#bdbdbd",
}
SUM_COLOUR, KEPT_COLOUR = "#0072B2", "#8a94a0"
COMPONENT_COLOURS = {"used by a token": "#0072B2", "other experts": "#b9c7d4"}
SERIES_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999"]
"""Of runs that are set beside each other; as many as can be told apart."""

SCALING_COLOURS = ["#D55E00", "#0072B2", "#009E73", "#999999"]
CROP_COLOUR, OVERLAP_COLOUR = "#F0E442", "#0072B2"
HEIGHT = 360
CLICK = "bar"
"""Name of the selection that a click on a bar makes; it gives the bar's `setting`."""

CLICKED = "bars"
"""Name of the marks that are clicked; altair would make one of all their figures, another with every sample."""

DIGITS = ",.5~r"
"""How a figure is written that has no interval: five significant digits, without zeros that say nothing."""

DECADES = [factor * 10**power for power in range(-3, 6) for factor in (1, 3)]

# Within a power of ten, from few to many.
_LOG_STEPS = (
    (1, 3),
    (1, 2, 5),
    (1, 1.5, 2, 3, 4, 5, 7),
    *(tuple(step / 10 for step in range(10, 100, width)) for width in (5, 1)),
)
_FEWEST_MARKED = 3


def log_axis(values: Iterable[float]) -> alt.Axis:
    """A logarithmic axis with as many marked values as say what a point's height is, also where all are alike.

    Args:
        values: What is drawn on it; those that are not above 0, or no numbers, are left out.
    """
    known = [value for value in values if 0 < value < math.inf]
    low, high = min(known, default=1.0), max(known, default=1.0)
    # What a chart shows beyond its points is about so much.
    low, high = low / 1.03, high * 1.03
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marked: list[float] = []
    for steps in _LOG_STEPS:
        places = (float(f"{step * 10.0**power:.6g}") for power in powers for step in steps)
        marked = [place for place in places if low <= place <= high]
        if len(marked) >= _FEWEST_MARKED:
            break
    return alt.Axis(values=marked, format="~r", labelOverlap=True) if marked else alt.Axis(format=DIGITS)


# Vega breaks a label into lines where it is an array.
LINES = "split(datum.label, '|')"


class Stack(list[alt.LayerChart]):
    """Charts over one axis that stand one above the other, where others stand side by side."""


def joined(several: Sequence[alt.LayerChart]) -> alt.LayerChart | alt.HConcatChart | alt.VConcatChart:
    """Charts as one, above each other or side by side as they are to stand."""
    if len(several) == 1:
        return several[0]
    join = alt.vconcat if isinstance(several, Stack) else alt.hconcat
    return join(*several).resolve_scale(color="independent")


def floor_marks(
    rows: pd.DataFrame, x: alt.X, y: alt.Y, colour: alt.Color, name: str, joined: bool = False, width: int = 26
) -> list[alt.Chart]:
    """The floor of each bar, one mark a bar: dark edges make it seen on any colour and ground.

    Args:
        rows: Of one metric, with `floor_ms`.
        x: Where the bars stand.
        y: The axis of latency, of the field `floor_ms`.
        colour: Whose scale holds `name`, so that the legend names the mark.
        name: What the floor is called there.
        joined: A line from setting to setting instead, where latencies are lines too.
        width: Of a mark, in pixels.
    """
    known = rows[rows["floor_ms"] > 0].assign(stage=name)
    if known.empty:
        return []
    base = alt.Chart(with_words(known)).encode(x=x, y=y, tooltip=tooltip_of("stage:N", "Mark"))
    if joined:
        return [base.mark_line(strokeWidth=5, color=FLOOR_EDGE), base.mark_line(strokeWidth=3).encode(color=colour)]
    tick = {"opacity": 1, "orient": "horizontal", "bandSize": width}
    return [
        base.mark_tick(thickness=5, color=FLOOR_EDGE, **tick),
        base.mark_tick(thickness=3, **tick).encode(color=colour),
    ]


def with_words(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with what tooltips say of them: each figure with the digits that it deserves."""
    if "said_median" in rows:
        return rows
    described = rows.to_dict("records")
    return rows.assign(
        said_median=[written(row["median"], _places(row)) for row in described],
        said_interval=[written_interval(row["low"], row["high"], _places(row)) for row in described],
        said_floor=[written(row.get("floor_ms")) for row in described],
        said_over=[f"{written(row.get('over_floor'))} ×" for row in described],
        said_n=[written(row["n"], 0) for row in described],
    )


def _places(row: Mapping[Any, Any]) -> int:
    return decimals(row["median"], row["low"], row["high"])


def label_order(settings: pd.DataFrame) -> list[str]:
    """The settings' labels along the knob."""
    return settings.sort_values(["x", "setting"])["label"].drop_duplicates().tolist()


def knob_axis(order: list[str], title: str) -> alt.X:
    """The axis of a knob: a place for each setting, measured or not, at equal distances."""
    axis = alt.Axis(labelAngle=0, labelExpr=LINES, labelOverlap=True)
    return alt.X("label:N", sort=order, scale=alt.Scale(domain=order), title=title, axis=axis)


def number_axis(experiment: Experiment, values: Iterable[float]) -> alt.X:
    """The axis of a knob whose values are numbers: a knob that is doubled has its doublings at equal distances."""
    places = sorted(set(values))
    if experiment.knob in DOUBLED and min(places, default=0) > 0:
        scale = alt.Scale(type="log", base=2, nice=False, padding=14)
        axis = alt.Axis(values=places, format="d", labelOverlap=True)
    else:
        scale = alt.Scale(zero=False, nice=False, padding=12)
        axis = alt.Axis(tickMinStep=1, format="d")
    return alt.X("x:Q", title=experiment.axis, scale=scale, axis=axis)


def error_bars(rows: pd.DataFrame, x: alt.X, title: str, scale: alt.Scale) -> alt.Chart:
    """The 95 % intervals of medians, where there are any."""
    known = with_words(rows.dropna(subset=["low", "high"]))
    return (
        alt.Chart(known)
        .mark_errorbar(ticks=alt.MarkConfig(size=8), color=ERROR, thickness=1.5)
        .encode(x=x, y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q", tooltip=tooltip_of("stage:N", "Stage"))
    )


def tooltip_of(field: str, title: str) -> list[alt.Tooltip]:
    """What a mark of a sweep says of itself, of rows as `with_words` gives them."""
    return [
        alt.Tooltip("title:N", title="Setting"),
        alt.Tooltip(field, title=title),
        alt.Tooltip("said_median:N", title="Median (ms)"),
        alt.Tooltip("said_interval:N", title="95 % interval (ms)"),
        alt.Tooltip("said_n:N", title="Samples"),
        alt.Tooltip("said_floor:N", title="Floor (ms)"),
        alt.Tooltip("said_over:N", title="Median / floor"),
        alt.Tooltip("binds:N", title="Bound by"),
    ]


def bound_named(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with words where it is not known what binds."""
    return rows.assign(binds=rows["binds"].fillna("not known").replace(NEITHER, "neither ceiling"))


def is_clickable(chart: alt.LayerChart) -> bool:
    """Whether a click on the chart's bars selects their setting."""
    return chart.params is not alt.Undefined and any(parameter.name == CLICK for parameter in chart.params)


def without_click(chart: alt.LayerChart) -> alt.LayerChart:
    """The chart without what a click selects, which a page alone can answer."""
    still = chart.copy(deep=False)
    still.params = alt.Undefined
    return still


def clicked() -> alt.Parameter:
    """A click on a bar, which names its setting."""
    return alt.selection_point(name=CLICK, fields=["setting"], toggle=False)
