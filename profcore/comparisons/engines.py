"""Engines side by side: what a step of a knob costs under each, and under the published code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from profcore import stats
from profcore.comparisons.published import PUBLISHED, published_samples
from profcore.engines.names import PEER_METRICS, PEERS
from profcore.spec.stages import Knob
from profcore.stats import METRIC_LABELS
from profcore.stats.digits import MISSING, common_decimals, in_unit, written, written_interval

if TYPE_CHECKING:
    from profcore.experiments.knobs import Experiment


FLOOR = "floor"
"""What the floor is called where it stands among engines."""

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

    `least` and `most` are the medians at the ends of the sweep. Where several masks run equally many blocks there is
    no slope, and no median of an end that has several: blocks that are not the same are no repetition.

    Args:
        experiment: Whose knob was turned.
        samples: As `Store.samples` or `published_samples`.
    """
    samples = _by_setting(experiment, stats.add_derived(samples))
    several = equal_counts(experiment, samples)
    rows = []
    for metric in compared_metrics(experiment):
        found = _NO_SLOPE if several else stats.slope(samples["x"].to_numpy(float), samples[metric].to_numpy(float))
        medians = samples.groupby(["x", "mask"])[metric].median().dropna().groupby("x").agg(["first", "size"])
        ends = medians["first"].where(medians["size"] == 1)
        least, most = (ends.iloc[0], ends.iloc[-1]) if len(ends) else (float("nan"), float("nan"))
        rows.append([metric, found.value, found.low, found.high, least, most])
    return pd.DataFrame(rows, columns=["metric", "slope", "low", "high", "least", "most"])


_NO_SLOPE = stats.Slope(float("nan"), float("nan"), float("nan"))


def equal_counts(experiment: Experiment, samples: pd.DataFrame) -> list[int]:
    """The numbers of active blocks that several masks of these samples have."""
    masks = _by_setting(experiment, samples).groupby("x")["mask"].nunique()
    return [int(x) for x in masks[masks > 1].index]


def _by_setting(experiment: Experiment, samples: pd.DataFrame) -> pd.DataFrame:
    """The samples with `x`, where the knob stands, and `mask`, which tells settings of equally many blocks apart."""
    masked = experiment.knob is Knob.ACTIVE_BLOCKS and "block_mask" in samples
    mask = samples["block_mask"].fillna("") if masked else pd.Series("", index=samples.index)
    return samples.assign(x=samples[experiment.column], mask=mask)


def known_of(engine: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of latencies that an engine knows, by `metric`: a peer knows no stages."""
    return rows[rows["metric"].isin(PEER_METRICS)] if engine in PEERS else rows


def published_sensitivities(experiment: Experiment) -> pd.DataFrame:
    """As `sensitivities`, of the published scripts."""
    return sensitivities(experiment, published_samples(experiment)).assign(engine=PUBLISHED)


def published_medians(experiment: Experiment) -> pd.DataFrame:
    """As `medians`, of the published scripts."""
    return medians(experiment, published_samples(experiment)).assign(engine=PUBLISHED)


def medians(experiment: Experiment, samples: pd.DataFrame, most: int | None = None) -> pd.DataFrame:
    """Medians with intervals over the knob: `x`, `mask`, `line`, `metric`, `median`, `low`, `high`, `n`.

    Args:
        experiment: Whose knob was turned.
        samples: As `Store.samples` or `published_samples`.
        most: As `stats.interval_for`.

    Returns:
        A row for each setting and latency. Settings of equally many blocks are told apart by `mask`, and only those
        with the same `line` may be joined: the first of each number, then the second.
    """
    samples = _by_setting(experiment, samples)
    kinds = samples[["x", "mask"]].drop_duplicates().dropna(subset="x")
    # The first N blocks before N others.
    kinds = kinds.assign(other=kinds["mask"].str.contains("01")).sort_values(["x", "other", "mask"])
    kinds = kinds.assign(line=kinds.groupby("x").cumcount(), setting=range(len(kinds))).drop(columns="other")
    placed = samples.drop(columns="setting", errors="ignore").merge(kinds, on=["x", "mask"])
    summary = stats.summarise(placed, stats.interval_for(most))
    summary = summary[summary["metric"].isin(compared_metrics(experiment))].merge(kinds, on="setting")
    return summary[["x", "mask", "line", "metric", "median", "low", "high", "n"]]


def display_sensitivities(rows: pd.DataFrame, medians: pd.DataFrame) -> pd.DataFrame:
    """A table for people: a row for each latency and engine.

    Slopes are in milliseconds, those of a latency of which one would round away there all in microseconds; what stands
    in one latency's rows has equally many decimals.

    Args:
        rows: As `sensitivities`, with `engine`.
        medians: As `medians`, with `engine`; `FLOOR` is one where it is known. How far an engine is from eager, and
            from the floor, is said at the largest value that both have, which the table names. The published code ran
            on another card and in another dtype than the floor is of: it has none.
    """
    order = list(dict.fromkeys(rows["metric"]))
    rows = rows.sort_values("metric", key=lambda column: column.map(order.index), kind="stable")
    known = set() if medians.empty else set(medians["engine"])
    ratios: dict[str, pd.Series] = {}
    for name, base in (("× eager", "eager"), ("× floor", FLOOR)):
        if base in known:
            named = zip(rows["metric"], rows["engine"], strict=True)
            found = [_over(medians, metric, engine, base) for metric, engine in named]
            ratios[name] = pd.Series([ratio for ratio, _ in found], rows.index)
            ratios.setdefault("at", pd.Series([place for _, place in found], rows.index))
    parts = [_one_latency(own.assign(**ratios)) for _, own in rows.groupby("metric", sort=False)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _over(medians: pd.DataFrame, metric: str, engine: str, base: str) -> tuple[float, float]:
    """How many times an engine takes what another does at the largest value that both have, and that value."""
    if base == FLOOR and engine == PUBLISHED:
        return float("nan"), float("nan")
    of_metric = medians[medians["metric"] == metric]
    # Blocks that are as many and not the same are no repetition: such a value is of no use here.
    once = of_metric.drop_duplicates(["engine", "x"], keep=False).set_index("x")
    own, other = (once.loc[once["engine"] == each, "median"] for each in (engine, base))
    shared = own.index.intersection(other[other > 0].index)
    return (own[shared.max()] / other[shared.max()], shared.max()) if len(shared) else (float("nan"), float("nan"))


def _one_latency(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of one latency, in one unit and with digits in common."""
    slopes = rows[["slope", "low", "high"]]
    factor, unit = in_unit(slopes["slope"].abs().where(lambda size: size > 0).min())
    slopes = slopes * factor
    ends = list(zip(slopes["low"], slopes["high"], strict=True))
    places = common_decimals(slopes["slope"], ends)
    table = pd.DataFrame({"latency": rows["metric"].map(METRIC_LABELS), "engine": rows["engine"]})
    table["per step"] = [_with_unit(written(value, places), unit) for value in slopes["slope"]]
    table["95 % interval"] = [_with_unit(written_interval(low, high, places), unit) for low, high in ends]
    table["at the least (ms)"], table["at the most (ms)"] = _column(rows["least"]), _column(rows["most"])
    for name in ("× eager", "× floor"):
        if name in rows:
            table[name] = _column(rows[name])
    if "at" in rows:
        table["at"] = [written(value, 0) for value in rows["at"]]
    return table


def _column(values: pd.Series) -> list[str]:
    places = common_decimals(values)
    return [written(value, places) for value in values]


def _with_unit(text: str, unit: str) -> str:
    return text if text == MISSING else f"{text} {unit}"
