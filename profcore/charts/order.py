"""Samples in the order they were taken: latency, and below it what card and host were like beside each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import numpy as np
import pandas as pd

from profcore.charts.base import DIGITS, LINE, SERIES_COLOURS, STAGE_COLOURS, Stack
from profcore.spec.stages import Stage
from profcore.spec.throttling import reason_words
from profcore.stats import FLAGS, has_trend

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_HEIGHT, _STRIP = 280, 120
# What the axis below the last strip takes of its height, where a page gives a chart a height with all that it has.
_AXIS = 44
_LABELS = 52
_MOST_DRAWN = 10_000
_BOTH = 39
"""Letters that two names beside each other in a legend may have, for a window of 420 pixels."""
_FEWEST_FOR_DRIFT, _WINDOWS = 20, 20
USUAL, OUTLIER, DRIFT, NO_DRIFT = "Sample", "Outlier", "Running median (drifts)", "Running median"
# What a sample is drawn as where it is several.
_KINDS = {
    USUAL: SERIES_COLOURS[5],
    OUTLIER: SERIES_COLOURS[1],
    FLAGS["throttled"].capitalize(): SERIES_COLOURS[4],
    FLAGS["shared"].capitalize(): SERIES_COLOURS[3],
    FLAGS["slowed"].capitalize(): SERIES_COLOURS[2],
}
_BESIDE = {
    "sm_clock_mhz": ("Clock (MHz)", SERIES_COLOURS[0]),
    "power_w": ("Power (W)", STAGE_COLOURS[Stage.LLM_DECODE]),
    "temperature_c": ("Temp. (°C)", SERIES_COLOURS[2]),
    "host_probe_us": ("Host (µs)", SERIES_COLOURS[5]),
}


def in_order(samples: pd.DataFrame, settings: pd.DataFrame) -> Stack:
    """The totals over the samples' order, and strips of clock, power, temperature and host probe, as far as known.

    Of more than 10,000 samples, as campaigns of others have, evenly many are drawn from first to last.

    Where settings have several samples each total is drawn over its setting's median, so that the knob does not hide
    what happened in time.

    Args:
        samples: As `MeasuredRun.samples`.
        settings: As `MeasuredRun.settings`.

    Returns:
        Nothing where no total is known.
    """
    rows = samples.dropna(subset=["total_ms"]).sort_values("sample_id").reset_index(drop=True)
    if rows.empty:
        return Stack()
    repeated = rows.groupby("setting").size().median() > 1
    y, title = ("ratio", "Total / its setting's median") if repeated else ("total_ms", "Total (ms)")
    medians = rows.groupby("setting")["total_ms"].transform("median")
    rows = rows.assign(ratio=rows["total_ms"] / medians.where(medians > 0)).iloc[:: -(-len(rows) // _MOST_DRAWN)]
    rows = rows.assign(
        outlier=_outliers(rows),
        kind=_kinds(rows),
        reasons=_reasons(rows),
        title=rows["setting"].map(settings.set_index("setting")["title"]),
    )
    strips = _strips(rows)
    heights = [_STRIP] * (len(strips) - 1) + [_STRIP + _AXIS]
    drawn = [alt.layer(strip).properties(height=height) for strip, height in zip(strips, heights, strict=False)]
    stack = Stack([_latency(rows, y, title), *drawn])
    # One axis has the name and the numbers of all.
    for chart in stack[:-1]:
        for layer in chart.layer:
            layer.encoding.x.title = None
            layer.encoding.x["axis"].labels = False
    return stack


def _outliers(rows: pd.DataFrame) -> pd.Series:
    return rows["outlier"].astype(bool) if "outlier" in rows else pd.Series(False, index=rows.index)


def _kinds(rows: pd.DataFrame) -> list[str]:
    names = list(_KINDS)
    tested = [rows["shared"], rows["throttled"], rows["slowed"], _outliers(rows)]
    return np.select(tested, [names[3], names[2], names[4], names[1]], names[0]).tolist()


def _words(rows: pd.DataFrame) -> list[str]:
    """All that each sample is."""
    also = rows["outlier"] & (rows["kind"] != OUTLIER)
    return np.where(also, rows["kind"] + ", " + OUTLIER.lower(), rows["kind"]).tolist()


def _reasons(rows: pd.DataFrame) -> list[str]:
    if "throttle_reasons" not in rows:
        return [""] * len(rows)
    bits = pd.to_numeric(rows["throttle_reasons"]).fillna(0).astype("int64")
    return [", ".join(reason_words(each)) for each in bits]


def _columns(names: Collection[str]) -> int:
    """Of a legend, which a telephone would cut off where two of its names need more than there is."""
    return 2 if sum(sorted(map(len, names))[-2:]) <= _BOTH else 1


def _latency(rows: pd.DataFrame, y: str, title: str) -> alt.LayerChart:
    running, name = _running(rows, y)
    rows = rows.assign(words=_words(rows))
    present = [kind for kind in _KINDS if (rows["kind"] == kind).any() or (kind == OUTLIER and rows["outlier"].any())]
    names = {kind: _KINDS[kind] for kind in present} | ({name: LINE} if name else {})
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=list(names), range=list(names.values())),
        legend=alt.Legend(title=None, orient="top", columns=_columns(names), labelLimit=0),
    )
    axis = alt.Y(f"{y}:Q", title=title, scale=alt.Scale(zero=False), axis=alt.Axis(minExtent=_LABELS, format=DIGITS))
    columns = ["sample_id", y, "kind", "title", "total_ms", "reasons", "outlier", "words"]
    base = alt.Chart(rows[list(dict.fromkeys(columns))]).encode(x=_order(), y=axis)
    tooltip = [
        alt.Tooltip("sample_id:Q", title="Sample"),
        alt.Tooltip("title:N", title="Setting"),
        alt.Tooltip("total_ms:Q", title="Total (ms)", format=DIGITS),
        alt.Tooltip("words:N", title="What it is"),
        alt.Tooltip("reasons:N", title="Held back by"),
    ]
    points = base.mark_point(filled=True, size=28, opacity=0.8).encode(color=colour, tooltip=tooltip)
    # One that was also held back has that colour inside.
    rings = base.transform_filter(alt.datum.outlier).mark_point(
        size=70, strokeWidth=1.5, opacity=1, stroke=_KINDS[OUTLIER]
    )
    layers = [points, *([rings] if rows["outlier"].any() else [])]
    if name:
        line = alt.Chart(running).mark_line(strokeWidth=2)
        layers.append(line.encode(x=_order(), y=axis, color=colour))
    return alt.layer(*layers).properties(height=_HEIGHT)


def _running(rows: pd.DataFrame, y: str) -> tuple[pd.DataFrame, str]:
    """The median of each sample's neighbours, and what it is called; no name where it would say nothing."""
    if y != "ratio" or len(rows) < _FEWEST_FOR_DRIFT:
        return rows, ""
    window = max(len(rows) // _WINDOWS, 5)
    running = rows["ratio"].rolling(window, center=True, min_periods=window // 2 + 1).median()
    drifts = has_trend(rows["ratio"].dropna().to_numpy(dtype=float))
    name = DRIFT if drifts else NO_DRIFT
    return pd.DataFrame({"sample_id": rows["sample_id"], "ratio": running, "kind": name}).dropna(), name


def _strips(rows: pd.DataFrame) -> Sequence[alt.Chart]:
    found = []
    for column, (title, colour) in _BESIDE.items():
        known = pd.to_numeric(rows[column]) if column in rows else pd.Series(dtype=float)
        if not known.notna().any():
            continue
        table = pd.DataFrame({"sample_id": rows["sample_id"], column: known}).dropna()
        axis = alt.Axis(minExtent=_LABELS, tickCount=3, format=DIGITS)
        y = alt.Y(f"{column}:Q", title=title, scale=_around(table[column]), axis=axis)
        tooltip = [alt.Tooltip("sample_id:Q", title="Sample"), alt.Tooltip(f"{column}:Q", title=title, format=DIGITS)]
        line = alt.Chart(table).mark_line(color=colour, strokeWidth=1.5).encode(x=_order(), y=y, tooltip=tooltip)
        found.append(line)
    return found


def _around(values: pd.Series) -> alt.Scale:
    """A scale with room on both sides of what never changed, which would have one tick alone."""
    low, high = float(values.min()), float(values.max())
    if low < high:
        return alt.Scale(zero=False)
    room = max(1.0, abs(low) / 50)
    return alt.Scale(zero=False, domain=[low - room, high + room])


def _order() -> alt.X:
    axis = alt.Axis(tickMinStep=1, format="d")
    return alt.X("sample_id:Q", title="Sample, in the order taken", scale=alt.Scale(nice=False), axis=axis)
