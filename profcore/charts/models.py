"""Models side by side: what each stage takes of each, and a latency over a knob."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePath

import altair as alt
import pandas as pd

from profcore.charts.base import DIGITS, HEIGHT, SERIES_COLOURS, STAGE_COLOURS, with_words
from profcore.experiments.knobs import Experiment
from profcore.spec.stages import TTFT_STAGES
from profcore.stats import METRIC_LABELS

MOST_MODELS = len(SERIES_COLOURS)
"""Of which a chart over a knob can tell the lines apart."""

_LONGEST, _BESIDE = 24, 16
"""Characters of a name in a legend: of one alone, and of one beside another in a narrow chart."""
_BAR, _AROUND = 34, 120
"""Of a bar, and of the legend and the axis together, in pixels."""


def short_names(models: Sequence[str]) -> dict[str, str]:
    """What a legend has room for of each name: of a path its end; all of it where two would be alike.

    Args:
        models: Names as `--model` took them.
    """
    short = {model: _end(model) if len(model) > _LONGEST else model for model in models}
    said = list(short.values())
    return {model: name if said.count(name) == 1 else model for model, name in short.items()}


def _end(model: str) -> str:
    path = PurePath(model)
    return str(PurePath(path.parent.name, path.name)) if path.name == "config.json" else path.name or model


def _words(models: Sequence[str]) -> str:
    """An expression of Vega's that gives the short name of a label."""
    return f"{json.dumps(short_names(models))}[datum.label]"


def model_stages(rows: pd.DataFrame, per_token: bool) -> alt.LayerChart:
    """The stages up to the first token of each model, one on the other.

    Args:
        rows: As `models_beside.stage_rows`.
        per_token: In microseconds per vision token instead of milliseconds.
    """
    field, title = ("us_per_token", "µs per vision token") if per_token else ("ms", "Milliseconds to the first token")
    names = [stage.label for stage in TTFT_STAGES]
    colour = alt.Color(
        "stage:N",
        sort=names,
        scale=alt.Scale(domain=names, range=[STAGE_COLOURS[stage] for stage in TTFT_STAGES]),
        # Of three beside each other a telephone has no room for the last.
        legend=alt.Legend(title=None, orient="top", columns=2),
    )
    models = list(dict.fromkeys(rows["model"]))
    # Stacked in the order that they run, from the left.
    rows = rows.assign(order=rows["stage"].map(names.index))
    bars = (
        alt.Chart(rows)
        .mark_bar()
        .encode(
            y=alt.Y("model:N", sort=models, title=None, axis=alt.Axis(labelLimit=220, labelExpr=_words(models))),
            x=alt.X(f"{field}:Q", title=title, stack="zero"),
            color=colour,
            order=alt.Order("order:Q"),
            tooltip=[
                alt.Tooltip("model:N", title="Model"),
                alt.Tooltip("stage:N", title="Stage"),
                alt.Tooltip("ms:Q", title="ms", format=DIGITS),
                alt.Tooltip("us_per_token:Q", title="µs per vision token", format=DIGITS),
            ],
        )
    )
    return alt.layer(bars).properties(height=_BAR * max(len(models), 1) + _AROUND)


def models_over(rows: pd.DataFrame, experiment: Experiment, metric: str) -> alt.LayerChart:
    """A latency over a knob, a line for each model with its medians' intervals.

    Args:
        rows: As `ModelsBeside.rows`; of the first models, as many as can be told apart.
        experiment: Whose knob is on the axis.
        metric: A column of `stats.METRICS`.
    """
    rows = with_words(rows[rows["metric"] == metric])
    present = list(dict.fromkeys(rows["model"]))[:MOST_MODELS]
    rows = rows[rows["model"].isin(present)]
    x = alt.X("x:Q", title=experiment.axis, scale=alt.Scale(zero=False, nice=False, padding=12))
    unit = "ms per token" if metric == "tpot_ms" else "ms"
    title = f"{METRIC_LABELS[metric]} ({unit})"
    y = alt.Y("median:Q", title=title, scale=alt.Scale(zero=True))
    # Two columns would push a long name's neighbour out of the figure.
    columns = 2 if all(len(name) <= _BESIDE for name in short_names(present).values()) else 1
    colour = alt.Color(
        "model:N",
        sort=present,
        scale=alt.Scale(domain=present, range=SERIES_COLOURS[: len(present)]),
        legend=alt.Legend(
            title=None, orient="top", symbolType="stroke", columns=columns, labelLimit=300, labelExpr=_words(present)
        ),
    )
    tooltip = [
        alt.Tooltip("model:N", title="Model"),
        alt.Tooltip("x:Q", title=experiment.title),
        alt.Tooltip("said_median:N", title="Median (ms)"),
        alt.Tooltip("said_interval:N", title="95 % interval (ms)"),
        alt.Tooltip("said_n:N", title="Samples"),
    ]
    base = alt.Chart(rows).encode(x=x, color=colour, tooltip=tooltip)
    known = alt.Chart(rows.dropna(subset=["low", "high"])).encode(x=x, color=colour, tooltip=tooltip)
    layers = [
        base.mark_line(strokeWidth=2).encode(y=y, detail=["line:N", "model:N"]),
        base.mark_point(filled=True, size=36, opacity=1).encode(y=y),
        known.mark_errorbar(thickness=1.5).encode(y=alt.Y("low:Q", title=title), y2="high:Q"),
    ]
    return alt.layer(*layers).properties(height=HEIGHT)
