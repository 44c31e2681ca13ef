"""A knob's sweep beside real pictures: does the clean sweep predict what pictures cost? Pure.

On one axis of tokens stand the sweep's medians and every picture; each has a fitted slope, and at equal tokens the
pictures lie some share above or below the sweep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore import stats
from profcore.comparisons.conditions import find_differences
from profcore.comparisons.engines import compared_metrics
from profcore.spec.stages import Knob
from profcore.stats import METRIC_LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from profcore.experiments.knobs import Experiment

OFFERED = {
    Knob.VISION_TOKENS: (
        *("vision_tokens_vs_latency", "latency_distribution", "component_profiling", "flops_vs_latency"),
    ),
    Knob.OUTPUT_TOKENS: ("language_tokens_vs_latency", "flops_vs_latency", "latency_distribution"),
}
"""The Motivation experiments that can stand beside a knob's sweep, the twin first."""

_MOST_DRAWN = 2000
_SAME_CROPS = 0.02


@dataclass(frozen=True)
class Pictures:
    """One Motivation run to stand beside a sweep: how charts call it, its `PictureResult.points`, its environment."""

    name: str
    points: pd.DataFrame
    environment: dict[str, Any]


@dataclass(frozen=True)
class Beside:
    """A sweep and Motivation runs together.

    Attributes:
        points: Every picture: `name`, `x`, `metric`, `value`, `title`; drawn at random where there are very many.
        medians: Of the sweep and of pictures with the same number of tokens: `name`, `x`, `metric`, `median`, `low`,
            `high`, `n`.
        lines: The fitted line of each: `name`, `metric`, `x`, `y`, at both its ends.
        slopes: `name`, `metric`, `slope`, `low`, `high` (ms per token), `n` (points or settings).
        ratios: Pictures over the sweep at equal tokens: `name`, `metric`, `ratio`, `low`, `high`, `n`, `outside`
            (points beyond the sweep's tokens).
        sentences: The comparison in words, by the name of each Motivation run.
        differences: What else the runs differ in.
        left_out: Points that are not drawn.
    """

    points: pd.DataFrame
    medians: pd.DataFrame
    lines: pd.DataFrame
    slopes: pd.DataFrame
    ratios: pd.DataFrame
    sentences: dict[str, list[str]]
    differences: list[str]
    left_out: int


def set_beside(
    experiment: Experiment,
    sweep_name: str,
    sweep: pd.DataFrame,
    environment: dict[str, Any],
    pictures: Sequence[Pictures],
    metrics: Sequence[str] = (),
) -> Beside:
    """A sweep and Motivation runs on the same axis.

    Args:
        experiment: Whose knob is on the axis: vision or output tokens.
        sweep_name: How charts call the sweep.
        sweep: Its samples, as `Store.samples`.
        environment: What it was measured on; empty where not known.
        pictures: The Motivation runs.
        metrics: Which latencies; those that the knob turns unless given.
    """
    column, metrics = experiment.column, tuple(metrics) or compared_metrics(experiment)
    sweep = stats.add_derived(sweep)
    x = sweep[column].to_numpy(dtype=float)
    points, medians, lines, slopes, ratios, left_out = [], [], [], [], [], 0
    medians.append(_medians(sweep, column, metrics).assign(name=sweep_name))
    for metric in metrics:
        own = stats.slope(x, sweep[metric].to_numpy(dtype=float))
        slopes.append([sweep_name, metric, own.value, own.low, own.high, len(np.unique(x))])
        lines += _line(sweep_name, metric, own, x)
    for each in pictures:
        frame = each.points.dropna(subset=[column])
        place = frame[column].to_numpy(dtype=float)
        clusters = frame["picture"].to_numpy(dtype=str)
        medians.append(_medians(frame, column, metrics).assign(name=each.name))
        drawn = frame if len(frame) <= _MOST_DRAWN else frame.sample(_MOST_DRAWN, random_state=0)
        left_out += len(frame) - len(drawn)
        for metric in metrics:
            if metric not in frame:
                continue
            values = frame[metric].to_numpy(dtype=float)
            fitted = stats.points_slope(place, values, clusters)
            slopes.append([each.name, metric, fitted.value, fitted.low, fitted.high, int((~np.isnan(values)).sum())])
            lines += _line(each.name, metric, fitted, place[~np.isnan(values)])
            ratio = stats.ratio_at_equal_x(x, sweep[metric].to_numpy(dtype=float), place, values, clusters)
            outside = int((~np.isnan(values)).sum()) - ratio.n
            ratios.append([each.name, metric, ratio.value, ratio.low, ratio.high, ratio.n, outside])
            shown = drawn.assign(name=each.name, x=drawn[column], metric=metric, value=drawn[metric])
            points.append(shown[["name", "x", "metric", "value", "title"]])
    slope_rows = pd.DataFrame(slopes, columns=["name", "metric", "slope", "low", "high", "n"])
    ratio_rows = pd.DataFrame(ratios, columns=["name", "metric", "ratio", "low", "high", "n", "outside"])
    sentences: dict[str, list[str]] = {}
    ends = np.nanmin(x), np.nanmax(x)
    for each in pictures:
        said = _sentences(metrics, experiment.per, sweep_name, each, slope_rows, ratio_rows, ends)
        sentences[each.name] = said + (_crops(sweep, each) if experiment.knob is Knob.VISION_TOKENS else [])
    environments = {sweep_name: environment, **{each.name: each.environment for each in pictures}}
    return Beside(
        points=pd.concat(points, ignore_index=True).dropna(subset="value") if points else _EMPTY_POINTS,
        medians=pd.concat(medians, ignore_index=True),
        lines=pd.DataFrame(lines, columns=["name", "metric", "x", "y"]),
        slopes=slope_rows,
        ratios=ratio_rows,
        sentences=sentences,
        differences=find_differences(environments) if pictures else [],
        left_out=left_out,
    )


_EMPTY_POINTS = pd.DataFrame(columns=["name", "x", "metric", "value", "title"])


def _medians(frame: pd.DataFrame, column: str, metrics: Sequence[str]) -> pd.DataFrame:
    present = [metric for metric in metrics if metric in frame]
    rows = []
    for x, group in frame.groupby(column, sort=True):
        for metric in present:
            found = stats.median_interval(group[metric].to_numpy(dtype=float))
            if found.n:
                rows.append([x, metric, found.value, found.low, found.high, found.n])
    return pd.DataFrame(rows, columns=["x", "metric", "median", "low", "high", "n"])


def _line(name: str, metric: str, fitted: stats.Slope, x: np.ndarray) -> list[list[Any]]:
    if np.isnan(fitted.value) or not x.size:
        return []
    return [[name, metric, float(place), fitted.at(float(place))] for place in (x.min(), x.max())]


def _sentences(
    metrics: Sequence[str],
    per: str,
    sweep_name: str,
    pictures: Pictures,
    slopes: pd.DataFrame,
    ratios: pd.DataFrame,
    ends: tuple[float, float],
) -> list[str]:
    """The comparison of each latency in words with numbers."""
    least, most = ends
    found = []
    for metric in metrics:
        own = _one(slopes, sweep_name, metric)
        theirs, ratio = _one(slopes, pictures.name, metric), _one(ratios, pictures.name, metric)
        if theirs is None or ratio is None or own is None or np.isnan(own["slope"]):
            continue
        label = METRIC_LABELS[metric]
        text = f"{label}: the sweep's slope is {_slope(own)} ms {per}"
        if not np.isnan(theirs["slope"]):
            text += f", the pictures' {_slope(theirs)}"
        if ratio["n"]:
            text += f"; at equal tokens {_share(ratio)}"
        if ratio["outside"]:
            every = ratio["outside"] + ratio["n"]
            text += f" ({ratio['outside']:,} of {every:,} lie beyond the sweep's {least:,.0f} to {most:,.0f} tokens)"
        found.append(f"{text}.")
    return found


def _one(rows: pd.DataFrame, name: str, metric: str) -> dict[Any, Any] | None:
    chosen = rows[(rows["name"] == name) & (rows["metric"] == metric)]
    return chosen.iloc[0].to_dict() if len(chosen) else None


def _slope(row: dict[Any, Any]) -> str:
    """A slope with as many digits as its interval supports."""
    if np.isnan(row["low"]):
        return f"{row['slope']:.4g}"
    return f"{row['slope']:.4g} [{row['low']:.4g}, {row['high']:.4g}]"


def _share(ratio: dict[Any, Any]) -> str:
    """How much slower or faster pictures are at equal tokens, in per cent with the interval."""
    value, low, high = (100 * (ratio[key] - 1) for key in ("ratio", "low", "high"))
    if np.isnan(low):
        way = "slower" if value >= 0 else "faster"
        needs = f"an interval needs {stats.SMALLEST_FOR_RATIO_AT_EQUAL_X} pictures"
        needs += f", and {stats.SMALLEST_FOR_SLOPE} samples at each setting of the sweep"
        return f"the pictures are {abs(value):.1f} % {way} ({needs})"
    if low <= 0 <= high:
        return f"no difference can be told ({value:+.1f} % [{low:+.1f}, {high:+.1f}])"
    if value < 0:
        return f"the pictures are {-value:.1f} % faster [{-high:.1f}, {-low:.1f}]"
    return f"the pictures are {value:.1f} % slower [{low:.1f}, {high:.1f}]"


def _crops(sweep: pd.DataFrame, pictures: Pictures) -> list[str]:
    """Whether pictures of as many tokens have other numbers of crops, for which the vision encoder pays."""
    known = sweep.dropna(subset=["num_crops", "num_vision_tokens"])
    points = pictures.points.dropna(subset=["num_crops", "num_vision_tokens"])
    if known.empty or points.empty:
        return []
    line = known.groupby("num_vision_tokens")["num_crops"].median()
    places = line.index.to_numpy(dtype=float)
    points = points[points["num_vision_tokens"].between(places[0], places[-1])]
    if points.empty:
        return []
    here = points["num_crops"].to_numpy(dtype=float)
    expected = np.interp(points["num_vision_tokens"].to_numpy(dtype=float), places, line.to_numpy(dtype=float))
    more = float(here.mean() / expected.mean())
    if abs(more - 1) <= _SAME_CROPS:
        return []
    return [
        f"At equal vision tokens the pictures have {here.mean():.1f} crops in the mean where the sweep has "
        f"{expected.mean():.1f}: grids of several rows overlap more than a single row, and the vision encoder sees "
        "every crop."
    ]


def display_slopes(beside: Beside) -> pd.DataFrame:
    """Slopes and ratios as a table for people."""
    rows = beside.slopes.merge(
        beside.ratios.rename(columns={"low": "ratio_low", "high": "ratio_high", "n": "points"}),
        on=["name", "metric"],
        how="left",
    )
    order = list(dict.fromkeys(rows["metric"]))
    rows = rows.sort_values("metric", key=lambda metrics: metrics.map(order.index), kind="stable")
    frame = pd.DataFrame(
        {
            "latency": rows["metric"].map(METRIC_LABELS),
            "run": rows["name"],
            "ms per token": rows["slope"].round(6),
            "95 % from": rows["low"].round(6),
            "to": rows["high"].round(6),
            "over the sweep (%)": (100 * (rows["ratio"] - 1)).round(2),
            "from (%)": (100 * (rows["ratio_low"] - 1)).round(2),
            "to (%)": (100 * (rows["ratio_high"] - 1)).round(2),
            "points": rows["points"].astype("Int64"),
        }
    )
    return frame.dropna(axis="columns", how="all").reset_index(drop=True)
