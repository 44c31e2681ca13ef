"""FLOPs scaling, profiling experiment 5: does latency grow with top-k as the arithmetic does? Pure.

FLOPs are counted from MolmoE's shape (see `roofline.cost`), another model's as it ran (see `measure.work`). The
published shortcut takes the whole model to grow as top-k does, eightfold from 1 to 8, though attention, router, norms
and the head do not grow at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from profcore.comparisons.conditions import KNOBS, list_values, setting_values
from profcore.models.config import PRESETS, MolmoConfig
from profcore.models.recorded import family_of_run, run_shape
from profcore.roofline import cost
from profcore.roofline.flops import sample_flops
from profcore.spec.records import WORK_COLUMNS
from profcore.spec.stages import MODEL_STAGES, Knob, Stage
from profcore.stats import METRIC_LABELS, ratio_of_medians

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from profcore.results.sweep import Result

EXPERIMENT = "flops_scaling"
"""What the command line calls it; a run of it is one of `moe_topk`."""

VALUES = (1, 2, 4, 8)
"""Values of top-k that are measured unless others are given."""

_METRICS = (*(stage.column for stage in MODEL_STAGES), "total_ms")
_FOLLOWS = 0.1


def shape_of(environment: dict[str, Any]) -> tuple[MolmoConfig, bool]:
    """The shape that a run's FLOPs are counted from, and whether the run says it itself; else MolmoE-1B's is taken."""
    shape = run_shape(environment)
    return (shape, True) if shape else (PRESETS["molmoe-1b"], False)


def flops_scaling(
    samples: pd.DataFrame, config: MolmoConfig, routed: dict[int, list[int]] | None = None
) -> pd.DataFrame:
    """How each stage grows from the smallest top-k on.

    Args:
        samples: As `Store.samples`, of a run of `moe_topk`; crops may be missing, since they do not change with top-k.
        config: The model's shape.
        routed: For each top-k the distinct experts that the prompt uses in each block, where they were counted; bytes
            of prefill then follow from them, else from an even router.

    Returns:
        A row for each stage and the total, and each top-k but the smallest: `metric`, `top_k`, `base` (the smallest),
        `theoretical` (FLOPs over FLOPs at the base), `bytes` (the same of bytes), `published` (top-k over top-k),
        `measured` (median over median) with `low` and `high` (95 %), and `ratio` (measured / theoretical).
    """
    if samples.empty:
        return pd.DataFrame(columns=_COLUMNS)
    samples = samples.assign(num_crops=samples["num_crops"].fillna(2))
    flops = sample_flops(samples, config).groupby(samples["top_k"]).median()
    firsts = samples.groupby("top_k").head(1).set_index("top_k")
    work = {
        int(str(top_k)): {
            **{f"{stage}_flops": flops.loc[top_k, f"flops_{stage}"] for stage in MODEL_STAGES},
            **_bytes(firsts.loc[top_k], int(str(top_k)), config, routed),
        }
        for top_k in flops.index
    }
    return counted_scaling(samples, work)


def counted_scaling(samples: pd.DataFrame, work: Mapping[int, Mapping[str, float]]) -> pd.DataFrame:
    """As `flops_scaling`, of any model whose work is known.

    Args:
        samples: As `Store.samples`, of a run of `moe_topk`.
        work: `records.WORK_COLUMNS` of one inference at each top-k; NaN where nobody knows. Samples of a top-k that it
            lacks are passed over.
    """
    groups = {int(str(top_k)): group for top_k, group in samples.groupby("top_k", sort=True) if top_k in work}
    if len(groups) < 2 or mixed_knobs(samples):
        return pd.DataFrame(columns=_COLUMNS)
    base, *others = groups
    rows = []
    for top_k in others:
        for metric in _METRICS:
            before, after = _work(work[base], metric, "flops"), _work(work[top_k], metric, "flops")
            measured = ratio_of_medians(groups[base][metric].to_numpy(float), groups[top_k][metric].to_numpy(float))
            # A stage that is not run, such as decode without a second token, has nothing to grow.
            if not before > 0 or np.isnan(measured.value):
                continue
            grown = after / before
            moved = _work(work[top_k], metric, "bytes") / _work(work[base], metric, "bytes")
            growth = (grown, moved, top_k / base, measured.value, measured.low, measured.high, measured.value / grown)
            rows.append([metric, top_k, base, *growth])
    return pd.DataFrame(rows, columns=_COLUMNS)


def mixed_knobs(samples: pd.DataFrame) -> str:
    """Which other knob does not stand still while top-k is turned, in a sentence; empty where each does.

    Growth would then be that of both, and says nothing of top-k.

    Args:
        samples: As `Store.samples`.
    """
    turned = [
        f"{KNOBS[knob]} ({list_values(values)})"
        for knob in KNOBS
        if knob is not Knob.TOP_K and len(values := set(setting_values(samples, knob).dropna())) > 1
    ]
    if not turned:
        return ""
    return f"Top-k is not all that varies in this run, {' and '.join(turned)} too: it says nothing of top-k alone."


_COLUMNS = [
    *("metric", "top_k", "base", "theoretical", "bytes", "published", "measured", "low", "high", "ratio"),
]


def _work(work: Mapping[str, float], metric: str, what: str) -> float:
    """The FLOPs or the bytes behind a latency: a stage's, or of the whole inference."""
    return sum(work[f"{stage}_{what}"] for stage in MODEL_STAGES if metric in (stage.column, "total_ms"))


def _bytes(sample: pd.Series, top_k: int, config: MolmoConfig, routed: dict[int, list[int]] | None) -> dict[str, float]:
    """Bytes that each stage moves at least; NaN where the sample does not say what it had to do."""
    if sample[["num_crops", "num_input_tokens", "num_output_tokens"]].isna().any():
        return {f"{stage}_bytes": float("nan") for stage in MODEL_STAGES}
    blocks = sample["active_blocks"]
    workload = cost.Workload(
        int(sample["num_crops"]),
        int(sample["num_input_tokens"]),
        int(sample["num_output_tokens"]),
        top_k,
        config.n_layers if pd.isna(blocks) else int(blocks),
        (routed or {}).get(top_k),
    )
    parts = cost.stage_costs(config, workload, itemsize=2, unread=True)
    return {f"{stage}_bytes": cost.total(parts[stage]).bytes for stage in MODEL_STAGES}


def routed_experts(settings: pd.DataFrame) -> dict[int, list[int]]:
    """The experts that each top-k's prompt uses, as `flops_scaling` takes them.

    Args:
        settings: As `Store.settings`.
    """
    known = settings.dropna(subset=["prefill_experts"])
    # Whole numbers of Python: those of a database are narrow, and bytes overflow them.
    return {
        int(top_k): [int(count) for count in counts]
        for top_k, counts in zip(known["top_k"], known["prefill_experts"], strict=True)
    }


def counted_work(settings: Iterable[Mapping[Any, Any]]) -> dict[int, dict[str, float]]:
    """What was counted of each top-k as it ran, as `counted_scaling` takes it; of those that were.

    Args:
        settings: Each with `top_k` and `records.WORK_COLUMNS`, as rows of `Store.settings`.
    """
    return {
        int(row["top_k"]): {name: float(row[name]) for name in WORK_COLUMNS}
        for row in settings
        if all(pd.notna(row.get(name)) for name in ("top_k", *WORK_COLUMNS))
    }


def run_scaling(result: Result) -> pd.DataFrame:
    """As `flops_scaling`, of a run of `moe_topk`: by MolmoE's formulas, or as another model's work was counted."""
    if family_of_run(result.run["environment"]):
        return counted_scaling(result.samples, counted_work(result.settings.to_dict("records")))
    shape, _ = shape_of(result.run["environment"])
    return flops_scaling(result.samples, shape, routed_experts(result.settings))


def assumed(result: Result) -> str:
    """What a run does not say, so that it is taken for the published model's own, in a sentence; empty for nothing."""
    if family_of_run(result.run["environment"]):
        return ""
    taken = [] if shape_of(result.run["environment"])[1] else ["which model it measured: MolmoE-1B's shape is taken"]
    if setting_values(result.settings, Knob.ACTIVE_BLOCKS).isna().any():
        taken.append("how many blocks ran: all are taken")
    if result.samples.empty or result.samples["num_crops"].isna().any():
        taken.append("how many crops its picture had: two are taken, as a 1×1 grid has")
    return f"This file does not say {'; nor '.join(taken)}." if taken else ""


def explain_scaling(rows: pd.DataFrame, top_k: int | None = None) -> list[str]:
    """What the scaling of the language model's stages means, a sentence for each.

    Args:
        rows: As `flops_scaling`.
        top_k: Up to which value; the largest unless given.
    """
    if rows.empty:
        return []
    top_k = int(rows["top_k"].max()) if top_k is None else top_k
    sentences = []
    for metric in (Stage.LLM_PREFILL.column, Stage.LLM_DECODE.column):
        for row in rows[(rows["metric"] == metric) & (rows["top_k"] == top_k)].to_dict("records"):
            interval = "" if np.isnan(row["low"]) else f" [{row['low']:.2f}, {row['high']:.2f}]"
            sentences.append(
                f"{METRIC_LABELS[metric]}, top-k {row['base']} to {row['top_k']}: "
                f"FLOPs grow {row['theoretical']:.2f}×, latency {row['measured']:.2f}×{interval}, "
                f"so measured / theoretical is {row['ratio']:.2f}: {_meaning(row)} "
                f"The published shortcut would say {row['published']:.0f}×."
            )
    return sentences


def _meaning(row: dict[Any, Any]) -> str:
    measured, theoretical, moved = row["measured"], row["theoretical"], row["bytes"]
    grown = "" if np.isnan(moved) else f" (bytes: {moved:.2f}×)"
    if (
        not np.isnan(row["low"])
        and row["low"] <= theoretical * (1 - _FOLLOWS)
        and row["high"] >= theoretical * (1 + _FOLLOWS)
    ):
        return f"the interval is too wide to say whether latency follows the arithmetic{grown}."
    if abs(row["ratio"] - 1) <= _FOLLOWS:
        return "latency follows the arithmetic."
    if measured > theoretical:
        return f"latency grows faster than the arithmetic{grown}."
    if abs(measured / moved - 1) <= _FOLLOWS:
        return f"latency follows the bytes to be read ({moved:.2f}×), not the arithmetic."
    return (
        f"latency grows less than the arithmetic{grown}, since a part of it does not depend on top-k: "
        "launching, or reading what every token needs."
    )


def display_scaling(rows: pd.DataFrame) -> pd.DataFrame:
    """The scaling as a table for people."""
    return pd.DataFrame(
        {
            "stage": rows["metric"].map(METRIC_LABELS),
            "top-k": [f"{base} → {top_k}" for base, top_k in zip(rows["base"], rows["top_k"], strict=True)],
            "FLOPs ×": rows["theoretical"].astype(float).round(3),
            "bytes ×": rows["bytes"].astype(float).round(3),
            "published shortcut ×": rows["published"].astype(float).round(2),
            "measured ×": rows["measured"].astype(float).round(3),
            "95 % from": rows["low"].astype(float).round(3),
            "to": rows["high"].astype(float).round(3),
            "measured / theoretical": rows["ratio"].astype(float).round(3),
        }
    )
