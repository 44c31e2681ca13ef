"""Engines side by side: what a step of a knob costs under each, and under the published code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from profcore.comparisons.published import PUBLISHED, published_samples
from profcore.spec.stages import Knob
from profcore.stats import METRIC_LABELS, add_derived, slope, summarise

if TYPE_CHECKING:
    from profcore.experiments.knobs import Experiment


_METRICS = {
    Knob.VISION_TOKENS: ("vision_encoder_ms", "projector_ms", "llm_prefill_ms", "ttft_ms"),
    Knob.TOP_K: ("llm_prefill_ms", "tpot_ms"),
    Knob.ACTIVE_BLOCKS: ("llm_prefill_ms", "tpot_ms"),
    Knob.OUTPUT_TOKENS: ("llm_decode_ms", "total_ms"),
}


def compared_metrics(experiment: Experiment) -> tuple[str, ...]:
    """The latencies that a knob is there to turn."""
    return _METRICS[experiment.knob]


def sensitivities(experiment: Experiment, samples: pd.DataFrame) -> pd.DataFrame:
    """What a step of the knob costs in each latency: `metric`, `slope`, `low`, `high` (ms per step), `least`, `most`.

    `least` and `most` are the medians at the ends of the sweep.

    Args:
        experiment: Whose knob was turned.
        samples: As `Store.samples` or `published_samples`.
    """
    samples = add_derived(samples)
    x = samples[experiment.column].to_numpy(dtype=float)
    rows = []
    for metric in compared_metrics(experiment):
        y = samples[metric].to_numpy(dtype=float)
        found = slope(x, y)
        medians = samples.groupby(experiment.column)[metric].median().dropna()
        ends = (medians.iloc[0], medians.iloc[-1]) if len(medians) else (float("nan"), float("nan"))
        rows.append([metric, found.value, found.low, found.high, *ends])
    return pd.DataFrame(rows, columns=["metric", "slope", "low", "high", "least", "most"])


def published_sensitivities(experiment: Experiment) -> pd.DataFrame:
    """As `sensitivities`, of the published scripts."""
    return sensitivities(experiment, published_samples(experiment)).assign(engine=PUBLISHED)


def medians(experiment: Experiment, samples: pd.DataFrame) -> pd.DataFrame:
    """Medians with intervals over the knob: `x`, `metric`, `median`, `low`, `high`, `n`."""
    samples = samples.assign(setting=samples[experiment.column])
    summary = summarise(samples)
    summary = summary[summary["metric"].isin(compared_metrics(experiment))]
    return summary.rename(columns={"setting": "x"})[["x", "metric", "median", "low", "high", "n"]]


def display_sensitivities(rows: pd.DataFrame) -> pd.DataFrame:
    """A table for people: a row for each latency and engine, milliseconds."""
    order = list(dict.fromkeys(rows["metric"]))
    rows = rows.sort_values("metric", key=lambda column: column.map(order.index), kind="stable")
    return pd.DataFrame(
        {
            "latency": rows["metric"].map(METRIC_LABELS),
            "engine": rows["engine"],
            "ms per step": rows["slope"].round(5),
            "95 % from": rows["low"].round(5),
            "to": rows["high"].round(5),
            "at the least (ms)": rows["least"].round(3),
            "at the most (ms)": rows["most"].round(3),
        }
    ).reset_index(drop=True)
